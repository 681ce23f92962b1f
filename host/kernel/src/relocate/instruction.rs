//! Instructions that refer to a kernel symbol. Encoding: <https://docs.kernel.org/bpf/standardization/instruction-set.html>.

use crate::object::ElfEditor;

/// A call of helper function 195 896 080, which no kernel has: the verifier refuses it by that number.
const REFUSED_CALL: [u8; 8] = [0x85, 0, 0, 0, 0x10, 0x23, 0xad, 0x0b];

/// [`REFUSED_CALL`] as the verifier prints it; aya replaces failed CO-RE relocations by the same call.
pub(crate) const REFUSED_CALL_IN_LOG: &str = "#195896080";

const LOAD_64: u8 = 0x18;
const CALL: u8 = 0x85;
/// `BPF_PSEUDO_KFUNC_CALL` and `BPF_PSEUDO_BTF_ID`, in the place of the source register.
const PSEUDO_KFUNC_CALL: u8 = 2 << 4;
const PSEUDO_BTF_ID: u8 = 3 << 4;

/// What an instruction gets in place of a kernel symbol.
#[derive(Debug, Clone, Copy)]
pub(super) enum SymbolTarget {
    Address(u64),
    TypeId(u32),
    /// This kernel lacks the symbol.
    Absent,
}

/// Writes a symbol's target into the instruction at a file offset.
pub(super) fn patch(elf: &mut ElfEditor, at: usize, target: SymbolTarget) -> Option<()> {
    let first = elf.instruction(at)?;
    match (first[0], target) {
        (CALL, SymbolTarget::TypeId(id)) => *first = encode(CALL, PSEUDO_KFUNC_CALL, id),
        (LOAD_64, SymbolTarget::TypeId(id)) => {
            *first = encode(LOAD_64, first[1] & 0x0f | PSEUDO_BTF_ID, id);
            *elf.instruction(at + 8)? = [0; 8];
        }
        (LOAD_64, SymbolTarget::Address(address)) => {
            *first = encode(LOAD_64, first[1] & 0x0f, address as u32);
            *elf.instruction(at + 8)? = encode(0, 0, (address >> 32) as u32);
        }
        (LOAD_64, SymbolTarget::Absent) => {
            *first = REFUSED_CALL;
            *elf.instruction(at + 8)? = REFUSED_CALL;
        }
        _ => *first = REFUSED_CALL,
    }
    Some(())
}

fn encode(code: u8, registers: u8, immediate: u32) -> [u8; 8] {
    let immediate = immediate.to_le_bytes();
    [code, registers, 0, 0, immediate[0], immediate[1], immediate[2], immediate[3]]
}
