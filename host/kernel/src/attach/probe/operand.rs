//! Operands of USDT arguments, as the assembler writes them: a size, `@`, and a constant, register or memory location.

/// Where the value of an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operand {
    Constant(i64),
    /// A register, by its offset in `struct pt_regs`.
    Register(i16),
    /// Memory at `offset` from the address in a register.
    Memory {
        register: i16,
        offset: i64,
    },
    /// Memory at `offset` from the sum of a register and another register shifted left.
    #[cfg(target_arch = "x86_64")]
    Indexed {
        register: i16,
        index: i16,
        shift: u32,
        offset: i64,
    },
}

/// The first fields of libbpf's `struct __bpf_usdt_arg_spec`.
#[derive(Debug, Clone, Copy)]
pub(super) struct EncodedOperand {
    /// `val_off`
    pub(super) value: i64,
    /// `arg_type`, with `idx_reg_off` and `scale_bitshift` in the upper bits.
    pub(super) kind: u32,
    /// `reg_off`
    pub(super) register: i16,
}

impl Operand {
    /// Its form in the map of specs. Programs built with a `usdt.bpf.h` from before libbpf 1.7 do not know the kind of `Indexed`, and
    /// get an error for that argument.
    pub(super) fn encode(self) -> EncodedOperand {
        match self {
            Self::Constant(value) => EncodedOperand { value, kind: 0, register: 0 },
            Self::Register(register) => EncodedOperand { value: 0, kind: 1, register },
            Self::Memory { register, offset } => EncodedOperand { value: offset, kind: 2, register },
            #[cfg(target_arch = "x86_64")]
            Self::Indexed { register, index, shift, offset } => {
                let kind = 3 | u32::from(index.cast_unsigned()) << 8 | shift << 20;
                EncodedOperand { value: offset, kind, register }
            }
        }
    }
}

/// One argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Argument {
    /// Bytes, negative for signed numbers.
    pub(super) size: i32,
    pub(super) operand: Operand,
}

impl Argument {
    /// Parses an argument such as `-4@-20(%rbp)`; `None`: its operand is of a form that programs cannot read.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (size, operand) = text.split_once('@')?;
        let size: i32 = size.parse().ok()?;
        matches!(size.unsigned_abs(), 1 | 2 | 4 | 8).then_some(Self { size, operand: parse_operand(operand)? })
    }
}

#[cfg(target_arch = "x86_64")]
fn parse_operand(operand: &str) -> Option<Operand> {
    if let Some(constant) = operand.strip_prefix('$') {
        return Some(Operand::Constant(integer(constant)?));
    }
    if let Some(register) = operand.strip_prefix('%') {
        return Some(Operand::Register(register_offset(register)?));
    }
    let (offset, rest) = operand.split_once('(')?;
    let offset = if offset.is_empty() { 0 } else { integer(offset)? };
    let parts: Vec<_> = rest.strip_suffix(')')?.split(',').map(str::trim).collect();
    let register = |text: &str| register_offset(text.strip_prefix('%')?);
    match parts[..] {
        [base] => Some(Operand::Memory { register: register(base)?, offset }),
        [base, index] => indexed(register(base)?, register(index)?, "1", offset),
        [base, index, scale] => indexed(register(base)?, register(index)?, scale, offset),
        _ => None,
    }
}

#[cfg(target_arch = "x86_64")]
fn indexed(register: i16, index: i16, scale: &str, offset: i64) -> Option<Operand> {
    let shift = ["1", "2", "4", "8"].iter().position(|known| *known == scale)? as u32;
    Some(Operand::Indexed { register, index, shift, offset })
}

/// The offset of a register in `struct pt_regs`, by any of its names.
#[cfg(target_arch = "x86_64")]
fn register_offset(name: &str) -> Option<i16> {
    const ORDER: [&str; 21] = [
        "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di", "orig_ax",
        "ip", "cs", "flags", "sp", "ss",
    ];
    let numbered = |name: &str| name.starts_with('r') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let plain = if numbered(name) {
        name.trim_end_matches(['d', 'w', 'b']).to_owned()
    } else {
        match name {
            "al" | "bl" | "cl" | "dl" => format!("{}x", &name[..1]),
            "sil" | "dil" | "bpl" | "spl" => name[..2].to_owned(),
            name => name.trim_start_matches(['r', 'e']).to_owned(),
        }
    };
    let index = ORDER.iter().position(|register| *register == plain)?;
    i16::try_from(index * 8).ok()
}

#[cfg(target_arch = "aarch64")]
fn parse_operand(operand: &str) -> Option<Operand> {
    if let Some(inner) = operand.strip_prefix('[') {
        let mut parts = inner.strip_suffix(']')?.splitn(2, ',');
        let register = register_offset(parts.next()?.trim())?;
        let offset = parts.next().map_or(Some(0), |offset| integer(offset.trim()))?;
        return Some(Operand::Memory { register, offset });
    }
    register_offset(operand).map(Operand::Register).or_else(|| integer(operand).map(Operand::Constant))
}

#[cfg(target_arch = "aarch64")]
fn register_offset(name: &str) -> Option<i16> {
    match name {
        "sp" => Some(31 * 8),
        name => {
            let number: i16 = name.strip_prefix('x')?.parse().ok()?;
            (number < 31).then_some(number * 8)
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn parse_operand(_operand: &str) -> Option<Operand> {
    None
}

fn integer(text: &str) -> Option<i64> {
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?.cast_signed(),
        None => digits.parse::<u64>().ok()?.cast_signed(),
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    fn argument(text: &str) -> Option<(i32, Operand)> {
        Argument::parse(text).map(|argument| (argument.size, argument.operand))
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn arguments_are_assembler_operands() {
        assert_eq!(argument("-4@%eax"), Some((-4, Operand::Register(80))));
        assert_eq!(argument("8@%rdi"), Some((8, Operand::Register(112))));
        assert_eq!(argument("1@%r8b"), Some((1, Operand::Register(72))));
        assert_eq!(argument("1@%sil"), Some((1, Operand::Register(104))));
        assert_eq!(argument("2@%bx"), Some((2, Operand::Register(40))));
        assert_eq!(argument("8@16(%rbp)"), Some((8, Operand::Memory { register: 32, offset: 16 })));
        assert_eq!(argument("-4@-20(%rsp)"), Some((-4, Operand::Memory { register: 152, offset: -20 })));
        assert_eq!(argument("8@$-5"), Some((8, Operand::Constant(-5))));
        let indexed = |index, shift, offset| Some(Operand::Indexed { register: 80, index, shift, offset });
        assert_eq!(argument("8@(%rax,%rbx,8)"), Some(8).zip(indexed(40, 3, 0)));
        assert_eq!(argument("-4@8(%rax,%rbp,4)"), Some(-4).zip(indexed(32, 2, 8)));
        assert_eq!(argument("1@-0x10(%rax,%r15)"), Some(1).zip(indexed(0, 0, -16)));
        for unknown in ["3@%eax", "8@%xmm0", "8@foo(%rip)", "8@(%rax,%rbx,3)", "8@(,%rbx,8)", "8@(%rax,8)", "%eax", ""]
        {
            assert_eq!(argument(unknown), None, "{unknown}");
        }
    }
}
