//! A BPF program that counts in a map as plugins' programs do.

#![allow(unsafe_code, reason = "bpf(2) has no safe form here")]

use std::os::fd::OwnedFd;

use super::{BPF_MAP_UPDATE_ELEM, ElemAttr, KernelMap, raw};
use crate::{
    program::Program,
    sys::{bpf, bpf_fd},
};

const BPF_MAP_CREATE: libc::c_long = 0;
const BPF_MAP_TYPE_ARRAY: u32 = 2;

/// A program that adds 1 to entries in place. (An update from user space would replace the entry by another one, elsewhere in the bucket.)
/// It walks ids upwards; [`key`] makes the key of an id.
#[derive(Debug)]
pub struct Counting {
    program: Program,
    cursor: OwnedFd,
}

/// A key of the package `maps` (`struct key` in bpf/maps.bpf.c).
pub fn key(id: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&id.to_le_bytes());
    key[8..12].copy_from_slice(&group(id).to_le_bytes());
    key[12..].copy_from_slice(&((id & 7) as u32).to_le_bytes());
    key
}

/// The group of a key's id.
pub fn group(id: u64) -> u32 {
    (id >> 3 & 0xff) as u32
}

impl Counting {
    /// Loads the program for a map with such keys.
    pub fn of(map: &KernelMap) -> Self {
        #[repr(C)]
        struct CreateAttr {
            kind: u32,
            key_size: u32,
            value_size: u32,
            max_entries: u32,
            flags: u32,
        }
        let mut attr = CreateAttr { kind: BPF_MAP_TYPE_ARRAY, key_size: 4, value_size: 8, max_entries: 1, flags: 0 };
        // SAFETY: the kernel reads the attributes alone.
        let cursor = unsafe { bpf_fd(BPF_MAP_CREATE, &mut attr) }.unwrap_or_else(|error| panic!("map create: {error}"));
        let code = Self::code(raw(&cursor), raw(&map.fd));
        let program = Program::load(&code).unwrap_or_else(|error| panic!("{error}"));
        Self { program, cursor }
    }

    /// Adds 1 to the existing entries among `ids` ids from `first` on.
    pub fn add(&self, first: u64, ids: u32) {
        let slot = 0u32;
        let (key, value) = (std::ptr::from_ref(&slot) as u64, std::ptr::from_ref(&first) as u64);
        let mut attr = ElemAttr { fd: raw(&self.cursor), key, value, flags: 0 };
        // SAFETY: key and value have the cursor's sizes and outlive the call.
        unsafe { bpf(BPF_MAP_UPDATE_ELEM, &mut attr) }.expect("our own array takes a value");
        self.program.run(ids).unwrap_or_else(|error| panic!("program run: {error}"));
    }

    /// id = cursor++; key = [`key`] of id; if map[key] is there, add 1 to it.
    fn code(cursor: u32, map: u32) -> Vec<u64> {
        let op = |code: u8, to: u8, from: u8, offset: i16, number: i32| {
            u64::from(code)
                | u64::from(to | from << 4) << 8
                | u64::from(offset as u16) << 16
                | u64::from(number as u32) << 32
        };
        const STORE_NUMBER_32: u8 = 0x62;
        const STORE_32: u8 = 0x63;
        const STORE_64: u8 = 0x7b;
        const LOAD_64: u8 = 0x79;
        const ATOMIC_64: u8 = 0xdb;
        const MOVE: u8 = 0xbf;
        const MOVE_NUMBER: u8 = 0xb7;
        const ADD: u8 = 0x07;
        const AND: u8 = 0x57;
        const SHIFT_RIGHT: u8 = 0x77;
        const IF_ZERO: u8 = 0x15;
        const CALL: u8 = 0x85;
        const EXIT: u8 = 0x95;
        const LOOKUP: i32 = 1;
        let fd = |to: u8, fd: u32| [op(0x18, to, 1, 0, fd as i32), 0];
        let mut code = vec![op(STORE_NUMBER_32, 10, 0, -4, 0), op(MOVE, 2, 10, 0, 0), op(ADD, 2, 0, 0, -4)];
        code.extend(fd(1, cursor));
        code.extend([
            op(CALL, 0, 0, 0, LOOKUP),
            op(IF_ZERO, 0, 0, 19, 0),
            op(LOAD_64, 7, 0, 0, 0),
            op(MOVE, 1, 7, 0, 0),
            op(ADD, 1, 0, 0, 1),
            op(STORE_64, 0, 1, 0, 0),
            op(STORE_64, 10, 7, -24, 0),
            op(MOVE, 1, 7, 0, 0),
            op(SHIFT_RIGHT, 1, 0, 0, 3),
            op(AND, 1, 0, 0, 0xff),
            op(STORE_32, 10, 1, -16, 0),
            op(AND, 7, 0, 0, 7),
            op(STORE_32, 10, 7, -12, 0),
            op(MOVE, 2, 10, 0, 0),
            op(ADD, 2, 0, 0, -24),
        ]);
        code.extend(fd(1, map));
        code.extend([
            op(CALL, 0, 0, 0, LOOKUP),
            op(IF_ZERO, 0, 0, 2, 0),
            op(MOVE_NUMBER, 1, 0, 0, 1),
            op(ATOMIC_64, 0, 1, 0, 0),
            op(MOVE_NUMBER, 0, 0, 0, 0),
            op(EXIT, 0, 0, 0, 0),
        ]);
        code
    }
}
