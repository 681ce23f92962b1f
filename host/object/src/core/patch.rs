//! Writing an outcome into an instruction.

use super::value::{Outcome, Sizes};
use crate::insn::Insn;

const CLASS_LD: u8 = 0;
const CLASS_LDX: u8 = 1;
const CLASS_ST: u8 = 2;
const CLASS_STX: u8 = 3;
const CLASS_ALU: u8 = 4;
const CLASS_ALU64: u8 = 7;
/// The second operand is a register.
const SOURCE_REGISTER: u8 = 0x08;
const SIZE_MASK: u8 = 0x18;

/// The result of relocating an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Applied {
    Written,
    /// The kernel does not have what it accesses.
    PoisonedAbsent,
    /// The kernel's field has another size, which a load or store of its own size would read or write wrongly.
    PoisonedSize {
        object: u64,
        kernel: u64,
    },
}

/// Writes the number where the instruction has one; or replaces it by a call of the helper `poison`, which no kernel has.
pub(super) fn apply(insns: &mut [Insn], at: usize, outcome: &Outcome, poison: i32) -> Result<Applied, String> {
    let insn = *insns.get(at).ok_or("the instruction is not there")?;
    if outcome.poison {
        insns[at] = Insn::poison(poison);
        if insn.is_ld_imm64()
            && let Some(second) = insns.get_mut(at + 1)
        {
            *second = Insn::poison(poison);
        }
        return Ok(Applied::PoisonedAbsent);
    }
    match insn.class() {
        CLASS_ALU | CLASS_ALU64 => {
            if insn.code & SOURCE_REGISTER != 0 {
                return Err("the instruction takes a register, not a number".into());
            }
            check(outcome, i64::from(insn.imm) as u64, u64::from(u32::MAX))?;
            insns[at].imm = outcome.after as u32 as i32;
        }
        CLASS_LDX | CLASS_ST | CLASS_STX => {
            check(outcome, i64::from(insn.off) as u64, u64::MAX)?;
            let off = i16::try_from(outcome.after)
                .map_err(|_| format!("the offset {} is too large for a load", outcome.after))?;
            if let Some(Sizes { before, after, may_differ: false }) = outcome.sizes {
                insns[at] = Insn::poison(poison);
                return Ok(Applied::PoisonedSize { object: before, kernel: after });
            }
            insns[at] = Insn { off, code: resized(insn.code, outcome)?, ..insn };
        }
        CLASS_LD if insn.is_ld_imm64() && insn.src() == 0 && at + 1 < insns.len() => {
            let number = u64::from(insns[at + 1].imm as u32) << 32 | u64::from(insn.imm as u32);
            check(outcome, number, u64::MAX)?;
            insns[at].imm = outcome.after as u32 as i32;
            insns[at + 1].imm = (outcome.after >> 32) as u32 as i32;
        }
        class => return Err(format!("an instruction of class {class} has no number to adapt")),
    }
    Ok(Applied::Written)
}

/// The instruction has to have what the compiler says that it has.
fn check(outcome: &Outcome, found: u64, mask: u64) -> Result<(), String> {
    if outcome.is_checked && found & mask != outcome.before & mask {
        return Err(format!("found {found} in the instruction, expected {}", outcome.before));
    }
    Ok(())
}

/// The code of a load or store whose field has another size in the kernel.
fn resized(code: u8, outcome: &Outcome) -> Result<u8, String> {
    let Some(sizes) = outcome.sizes else { return Ok(code) };
    let of_code = match code & SIZE_MASK {
        0x00 => 4,
        0x08 => 2,
        0x10 => 1,
        _ => 8,
    };
    if of_code != sizes.before {
        return Err(format!("a load of {of_code} bytes from a field of {}", sizes.before));
    }
    let size = match sizes.after {
        1 => 0x10,
        2 => 0x08,
        4 => 0x00,
        8 => 0x18,
        other => return Err(format!("no load has {other} bytes")),
    };
    Ok(code & !SIZE_MASK | size)
}
