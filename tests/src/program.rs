//! A BPF program that runs only when the test runs it.

#![allow(unsafe_code, reason = "bpf(2) has no safe form here")]

use std::{
    io,
    mem::offset_of,
    os::fd::{AsRawFd as _, OwnedFd},
};

use crate::sys::{bpf, bpf_fd};

const PROG_LOAD: libc::c_long = 5;
const PROG_TEST_RUN: libc::c_long = 10;
const SOCKET_FILTER: u32 = 1;

/// A loaded program. Unloaded on drop.
#[derive(Debug)]
pub struct Program(OwnedFd);

#[repr(C)]
struct LoadAttr {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
}

#[repr(C)]
#[derive(Default)]
struct RunAttr {
    program: u32,
    returned: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    rest: [u64; 6],
}

const _: () = assert!(offset_of!(RunAttr, repeat) == 32, "as in linux/bpf.h");

impl Program {
    /// Loads a socket filter. An error ends with the verifier's log.
    pub fn load(instructions: &[u64]) -> io::Result<Self> {
        let mut log = vec![0u8; 16 << 10];
        let mut attr = LoadAttr {
            kind: SOCKET_FILTER,
            count: instructions.len() as u32,
            instructions: instructions.as_ptr() as u64,
            license: c"GPL".as_ptr() as u64,
            log_level: 1,
            log_size: log.len() as u32,
            log: log.as_mut_ptr() as u64,
        };
        // SAFETY: the instructions, the licence and the log have the stated lengths and outlive the call.
        let program = unsafe { bpf_fd(PROG_LOAD, &mut attr) };
        let said =
            |error| io::Error::other(format!("{error}: {}", String::from_utf8_lossy(&log).trim_end_matches('\0')));
        program.map(Self).map_err(said)
    }

    /// Makes the kernel run the program this number of times, in one system call.
    pub fn run(&self, times: u32) -> io::Result<()> {
        let packet = [0u8; 64];
        let mut attr = RunAttr {
            program: self.0.as_raw_fd() as u32,
            size_in: packet.len() as u32,
            data_in: packet.as_ptr() as u64,
            repeat: times,
            ..RunAttr::default()
        };
        // SAFETY: the packet has the stated length and outlives the call.
        unsafe { bpf(PROG_TEST_RUN, &mut attr) }.map(|_| ())
    }
}
