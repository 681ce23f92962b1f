//! The program that writes the values of a hash into an array, and the array.
//!
//! It is put together here, not compiled: keys and values have other sizes in each map, and copying and comparing them is most of it. In C:
//!
//! ```c
//! struct { u64 count; u8 values[ROOM][VALUE_SIZE], keys[ROOM][KEY_SIZE]; } rows; // the array's only value
//!
//! static int each(void *map, void *key, void *value, void *unused)
//! {
//!     u64 row = rows.count;
//!
//!     if (row < ROOM) {
//!         copy(rows.values[row], value); // before the key is looked at, see the module above
//!         if (is_equal(rows.keys[row], key)) {
//!             rows.count = row + 1;
//!             return 0;
//!         }
//!     }
//!     rows.count = -1;
//!     return 1; // no further entry
//! }
//!
//! SEC("syscall") int read(void *unused)
//! {
//!     rows.count = 0;
//!     bpf_for_each_map_elem(&map, each, NULL, 0);
//!     return 0;
//! }
//! ```
//!
//! Programs of this type (Linux 5.14) run when they are asked to, here by a scrape, and are attached to nothing.

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
};

use aya_obj::generated::{bpf_map_type, bpf_prog_type};
use ebhost_object::insn::{CALL, Insn, LD_IMM64, PSEUDO_FUNC, PSEUDO_MAP_FD, PSEUDO_MAP_VALUE};

use crate::{
    MapShape,
    sys::{KernelMap, MapAttr, MappedArray, ProgramAttr, Records, btf_load, program_load, program_run},
};

/// The name of program and array in the kernel, as `bpftool` shows it.
const NAME: &str = "ebhost_read";

/// Bytes of the number of rows, which comes first.
const COUNT_BYTES: usize = 8;

/// A loaded program.
#[derive(Debug)]
pub(super) struct Program {
    program: OwnedFd,
    array: KernelMap,
    /// Its value.
    rows: MappedArray,
    layout: Layout,
}

/// Where the rows are in the array.
#[derive(Debug, Clone, Copy)]
struct Layout {
    key_size: usize,
    value_size: usize,
    /// Rows that the array has room for.
    room: usize,
}

impl Layout {
    fn keys_at(self) -> usize {
        (COUNT_BYTES + self.room * self.value_size).next_multiple_of(8)
    }

    fn bytes(self) -> usize {
        (self.keys_at() + self.room * self.key_size).next_multiple_of(8)
    }
}

impl Program {
    /// Loads a program for a map that has `len` entries. It has room for some more, so that a few new ones do not need another.
    ///
    /// # Errors
    /// The kernel has no such programs, or does not take them from this process.
    pub(super) fn load(map: &KernelMap, len: usize) -> io::Result<Self> {
        let layout =
            Layout { key_size: map.key_size(), value_size: map.shape().value_size as usize, room: len + len / 8 + 1 };
        let array = KernelMap::create(NAME, &array_of(layout))?;
        let types = btf_load(&TYPES.concat())?;
        let instructions = instructions(map, &array, layout);
        let functions: Vec<u8> =
            [0, READ_TYPE, instructions.each_at, EACH_TYPE].iter().flat_map(|number| number.to_ne_bytes()).collect();
        let program = ProgramAttr {
            kind: bpf_prog_type::BPF_PROG_TYPE_SYSCALL as u32,
            attach_type: 0,
            attach_btf_id: 0,
            attach_btf: None,
            module_fds: &[],
            flags: BPF_F_SLEEPABLE,
            kernel_version: 0,
            instructions: &instructions.code,
            license: c"Dual BSD/GPL",
            types: Some(types.as_fd()),
            functions: Records { bytes: &functions, size: 8, count: 2 },
            lines: Records::default(),
        };
        Ok(Self { program: program_load(NAME, &program, &mut [])?, rows: array.map_array(1)?, array, layout })
    }

    /// Whether it sees one entry more than these, too.
    pub(super) fn has_room_for(&self, len: usize) -> bool {
        len < self.layout.room
    }

    /// Sets the keys that the next runs expect.
    ///
    /// # Errors
    /// The array cannot be written.
    pub(super) fn expect(&self, keys: &[u8]) -> io::Result<()> {
        let mut rows = vec![0; self.layout.bytes()];
        rows[self.layout.keys_at()..][..keys.len()].copy_from_slice(keys);
        self.array.update(&[0; 4], &rows)
    }

    /// Reads the values of this number of entries, if the map has them and no others, and exactly the expected keys in their order.
    ///
    /// # Errors
    /// The kernel does not run it.
    pub(super) fn read(&self, len: usize, values: &mut [u8]) -> io::Result<bool> {
        program_run(self.program.as_fd())?;
        let mut count = [0; COUNT_BYTES];
        self.rows.copy_part(0, &mut count);
        let is_same = count == (len as u64).to_ne_bytes();
        if is_same {
            self.rows.copy_part(COUNT_BYTES, values);
        }
        Ok(is_same)
    }
}

/// `BPF_F_SLEEPABLE`, which programs of this type have to have.
const BPF_F_SLEEPABLE: u32 = 1 << 4;

fn array_of(layout: Layout) -> MapAttr<'static> {
    const BPF_F_MMAPABLE: u32 = 1 << 10;
    let shape = MapShape {
        kind: bpf_map_type::BPF_MAP_TYPE_ARRAY as u32,
        key_size: 4,
        value_size: layout.bytes() as u32,
        max_entries: 1,
        flags: BPF_F_MMAPABLE,
    };
    MapAttr { shape, extra: 0, numa_node: 0, inner: None, types: None }
}

/// The types of the program's two functions, as the kernel wants to have them of everything that it calls back: `int` of nothing.
/// Reference: [BTF](https://docs.kernel.org/bpf/btf.html).
const TYPES: [&[u8]; 3] = [&HEADER, &TYPE_SECTION, NAMES];
const NAMES: &[u8] = b"\0int\0read\0each\0";
const READ_TYPE: u32 = 3;
const EACH_TYPE: u32 = 4;

const TYPE_SECTION: [u8; 52] = {
    let words: [u32; 13] = [
        1,
        1 << 24,
        4,
        1 << 24 | 32, // 1: INT `int`, 4 bytes, signed, 32 bits
        0,
        13 << 24,
        1, // 2: FUNC_PROTO without parameters, returns 1
        5,
        12 << 24,
        2, // 3: FUNC `read`, static, of type 2
        10,
        12 << 24,
        2, // 4: FUNC `each`
    ];
    bytes_of(&words)
};

const HEADER: [u8; 24] = {
    const MAGIC_AND_VERSION: u32 = 0xeb9f | 1 << 16;
    let (types, names) = (TYPE_SECTION.len() as u32, NAMES.len() as u32);
    bytes_of(&[MAGIC_AND_VERSION, 24, 0, types, types, names])
};

const fn bytes_of<const WORDS: usize, const BYTES: usize>(words: &[u32; WORDS]) -> [u8; BYTES] {
    assert!(WORDS * 4 == BYTES, "a word has four bytes");
    let mut bytes = [0; BYTES];
    let mut at = 0;
    while at < BYTES {
        bytes[at] = words[at / 4].to_ne_bytes()[at % 4];
        at += 1;
    }
    bytes
}

/// The program's code.
struct Instructions {
    code: Vec<[u8; 8]>,
    /// The index of the first instruction of `each`.
    each_at: u32,
}

// Codes of instructions: https://docs.kernel.org/bpf/standardization/instruction-set.html
const LOAD: u8 = 0x61; // BPF_LDX | BPF_MEM, and the size
const STORE: u8 = 0x63; // BPF_STX | BPF_MEM, and the size
const STORE_NUMBER: u8 = 0x62; // BPF_ST | BPF_MEM, and the size
const EIGHT_BYTES: u8 = 0x18; // BPF_DW
const MOVE: u8 = 0xbf; // BPF_ALU64 | BPF_MOV | BPF_X
const MOVE_NUMBER: u8 = 0xb7; // the same with BPF_K
const ADD: u8 = 0x0f; // BPF_ALU64 | BPF_ADD | BPF_X
const ADD_NUMBER: u8 = 0x07; // the same with BPF_K
const MULTIPLY_BY_NUMBER: u8 = 0x27; // BPF_ALU64 | BPF_MUL | BPF_K
const JUMP_IF_NOT_BELOW_NUMBER: u8 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const JUMP_IF_DIFFERENT: u8 = 0x5d; // BPF_JMP | BPF_JNE | BPF_X
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT
const FOR_EACH_MAP_ELEM: i32 = 164; // BPF_FUNC_for_each_map_elem

fn instructions(map: &KernelMap, rows: &KernelMap, layout: Layout) -> Instructions {
    let rows_address = |register| address(register, PSEUDO_MAP_VALUE, rows.raw_fd() as i32);
    let mut read = Vec::from(rows_address(1));
    read.push(insn(STORE_NUMBER | EIGHT_BYTES, 1, 0, 0, 0));
    read.extend(address(1, PSEUDO_MAP_FD, map.raw_fd() as i32));
    // `each` follows the two instructions of this address and five more.
    read.extend(address(2, PSEUDO_FUNC, 6));
    read.push(insn(MOVE_NUMBER, 3, 0, 0, 0));
    read.push(insn(MOVE_NUMBER, 4, 0, 0, 0));
    read.push(insn(CALL, 0, 0, 0, FOR_EACH_MAP_ELEM));
    read.push(insn(MOVE_NUMBER, 0, 0, 0, 0));
    read.push(insn(EXIT, 0, 0, 0, 0));
    let each_at = read.len() as u32;

    // r1: the rows; r2: the key; r3: the value; r5: the row's number; r4 and r0 for each copy, and r3 for the expected key after the value.
    let mut each = Vec::from(rows_address(1));
    each.push(insn(LOAD | EIGHT_BYTES, 5, 1, 0, 0));
    let mut body = place(layout.value_size, COUNT_BYTES);
    for (at, part) in parts(layout.value_size) {
        body.push(insn(LOAD | part, 4, 3, at, 0));
        body.push(insn(STORE | part, 0, 4, at, 0));
    }
    body.extend(place(layout.key_size, layout.keys_at()));
    let end = [
        insn(ADD_NUMBER, 5, 0, 0, 1),
        insn(STORE | EIGHT_BYTES, 1, 5, 0, 0),
        insn(MOVE_NUMBER, 0, 0, 0, 0),
        insn(EXIT, 0, 0, 0, 0),
    ];
    let parts: Vec<_> = parts(layout.key_size).collect();
    for (index, (at, part)) in parts.iter().copied().enumerate() {
        body.push(insn(LOAD | part, 4, 2, at, 0));
        body.push(insn(LOAD | part, 3, 0, at, 0));
        let further = 3 * (parts.len() - index - 1) + end.len();
        body.push(insn(JUMP_IF_DIFFERENT, 4, 3, further as i16, 0));
    }
    body.extend(end);
    each.push(insn(JUMP_IF_NOT_BELOW_NUMBER, 5, 0, body.len() as i16, layout.room as i32));
    each.append(&mut body);
    each.push(insn(STORE_NUMBER | EIGHT_BYTES, 1, 0, 0, -1));
    each.push(insn(MOVE_NUMBER, 0, 0, 0, 1));
    each.push(insn(EXIT, 0, 0, 0, 0));

    let code = read.into_iter().chain(each).map(Insn::to_bytes).collect();
    Instructions { code, each_at }
}

/// Points r0 to the row's place among items of this size that begin at `start`.
fn place(size: usize, start: usize) -> Vec<Insn> {
    vec![
        insn(MOVE, 4, 5, 0, 0),
        insn(MULTIPLY_BY_NUMBER, 4, 0, 0, size as i32),
        insn(MOVE, 0, 1, 0, 0),
        insn(ADD, 0, 4, 0, 0),
        insn(ADD_NUMBER, 0, 0, 0, start as i32),
    ]
}

/// Offset and size code of the parts in which so many bytes are loaded: the largest that are aligned, so that each word of a value is read
/// whole.
fn parts(size: usize) -> impl Iterator<Item = (i16, u8)> {
    // By the bytes of a part: BPF_DW, BPF_W, BPF_H, BPF_B.
    const PARTS: [(usize, u8); 4] = [(8, EIGHT_BYTES), (4, 0x00), (2, 0x08), (1, 0x10)];
    let mut at = 0;
    std::iter::from_fn(move || {
        let (bytes, part) = PARTS.into_iter().find(|(bytes, _)| at + bytes <= size)?;
        at += bytes;
        Some(((at - bytes) as i16, part))
    })
}

fn insn(code: u8, to: u8, from: u8, off: i16, imm: i32) -> Insn {
    Insn { code, regs: to | from << 4, off, imm }
}

/// Loads the address of a map, of the value of an array, or of a function.
fn address(register: u8, kind: u8, number: i32) -> [Insn; 2] {
    [insn(LD_IMM64, register, kind, 0, number), Insn::default()]
}
