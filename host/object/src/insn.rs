//! BPF instructions: the encoding of `struct bpf_insn`, as far as loading needs it.
//!
//! Reference: [the instruction set](https://docs.kernel.org/bpf/standardization/instruction-set.html).

/// One 8-byte instruction. A 64-bit immediate load takes two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Insn {
    pub code: u8,
    /// Destination register in the lower four bits, source register in the upper four.
    pub regs: u8,
    pub off: i16,
    pub imm: i32,
}

/// Bytes of one instruction.
pub const INSN_BYTES: usize = 8;

/// `BPF_LD | BPF_IMM | BPF_DW`: the first half of a 64-bit immediate load.
pub const LD_IMM64: u8 = 0x18;
/// `BPF_JMP | BPF_CALL`.
pub const CALL: u8 = 0x85;

/// Values of the source register of [`LD_IMM64`] and [`CALL`] (`BPF_PSEUDO_*` of linux/bpf.h).
pub const PSEUDO_MAP_FD: u8 = 1;
pub const PSEUDO_MAP_VALUE: u8 = 2;
pub const PSEUDO_BTF_ID: u8 = 3;
pub const PSEUDO_FUNC: u8 = 4;
pub const PSEUDO_CALL: u8 = 1;
pub const PSEUDO_KFUNC_CALL: u8 = 2;

/// The number of a helper that no kernel has: an instruction that cannot be relocated calls it, so that the verifier refuses the program if it can get there,
/// and only then. It is the number that libbpf uses, so that its users recognize it in a verifier log.
pub const POISON_CORE: i32 = 0x0bad_2310;
/// The same for a kernel function that is weak and absent.
pub const POISON_KFUNC: i32 = 2_002_000_000;

impl Insn {
    pub fn src(self) -> u8 {
        self.regs >> 4
    }

    pub fn dst(self) -> u8 {
        self.regs & 0x0f
    }

    pub fn set_src(&mut self, register: u8) {
        self.regs = self.dst() | register << 4;
    }

    /// `BPF_CLASS` of the code.
    pub fn class(self) -> u8 {
        self.code & 0x07
    }

    pub fn is_ld_imm64(self) -> bool {
        self.code == LD_IMM64
    }

    /// Whether it calls a function of the object.
    pub fn is_subprogram_call(self) -> bool {
        self.code == CALL && self.src() == PSEUDO_CALL
    }

    /// Whether it loads the address of a function of the object.
    pub fn is_function_address(self) -> bool {
        self.is_ld_imm64() && self.src() == PSEUDO_FUNC
    }

    /// A call of a helper that no kernel has.
    pub fn poison(number: i32) -> Self {
        Self { code: CALL, regs: 0, off: 0, imm: number }
    }

    pub fn to_bytes(self) -> [u8; INSN_BYTES] {
        let ([o0, o1], [i0, i1, i2, i3]) = (self.off.to_le_bytes(), self.imm.to_le_bytes());
        [self.code, self.regs, o0, o1, i0, i1, i2, i3]
    }

    pub fn from_bytes(bytes: [u8; INSN_BYTES]) -> Self {
        let [code, regs, o0, o1, i0, i1, i2, i3] = bytes;
        Self { code, regs, off: i16::from_le_bytes([o0, o1]), imm: i32::from_le_bytes([i0, i1, i2, i3]) }
    }
}
