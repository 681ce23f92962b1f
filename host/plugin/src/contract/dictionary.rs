//! The label values of an answer: `list<string>` read out of the guest's memory into one buffer.
//!
//! The engine would make each value a `String`, which is half of what a new key costs outside the sandbox. Values that are adjacent in
//! memory, as those of the SDK are, are copied in one piece. Whatever is unusual (UTF-16, addresses outside the memory, bytes that are
//! not UTF-8) is left to the engine, and its error is the one reported.

#![allow(unsafe_code, reason = "the engine's trait `Lift` is unsafe to implement")]

use wasmtime::{
    Result,
    component::{
        __internal::{
            CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, wasmtime_environ::component::StringEncoding,
        },
        ComponentType, Lift,
    },
};

use ebhost_series::Values;

/// A `list<string>` in one buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Dictionary(pub(super) Values);

impl<S: AsRef<str>> FromIterator<S> for Dictionary {
    fn from_iter<I: IntoIterator<Item = S>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// Bytes of a `string` in a guest's memory: address and length, 4 bytes each.
pub(crate) const STRING_BYTES: usize = 8;

/// The strings of a list, all of them within the guest's memory.
struct GuestStrings<'a> {
    memory: &'a [u8],
    spans: &'a [[u8; STRING_BYTES]],
    /// Sum of the strings' lengths.
    bytes: usize,
}

impl<'a> GuestStrings<'a> {
    /// `None`: part of it is outside the memory, or it is too long for indices of 4 bytes.
    fn find(memory: &'a [u8], list: [u8; STRING_BYTES]) -> Option<Self> {
        let (first, count) = span(list);
        if !first.is_multiple_of(align_of::<u32>()) {
            return None;
        }
        let (spans, []) = memory.get(first..)?.get(..count.checked_mul(STRING_BYTES)?)?.as_chunks() else {
            return None;
        };
        let mut bytes = 0;
        for one in spans {
            let (start, length) = span(*one);
            // Both have 4 bytes, so a `usize` holds their sum.
            if start + length > memory.len() {
                return None;
            }
            bytes += length;
        }
        (bytes <= u32::MAX as usize).then_some(Self { memory, spans, bytes })
    }

    /// Copies the strings, adjacent ones at once. `None`: one of them is not UTF-8.
    fn copy(&self) -> Option<Values> {
        let mut text = Vec::with_capacity(self.bytes);
        let mut ends = Vec::with_capacity(self.spans.len());
        let (mut run, mut run_end, mut end) = (0, 0, 0);
        for one in self.spans {
            let (start, length) = span(*one);
            if start != run_end {
                text.extend_from_slice(&self.memory[run..run_end]);
                run = start;
            }
            run_end = start + length;
            end += length as u32;
            ends.push(end);
        }
        text.extend_from_slice(&self.memory[run..run_end]);
        Values::new(String::from_utf8(text).ok()?, ends)
    }
}

/// Address and length.
fn span(bytes: [u8; STRING_BYTES]) -> (usize, usize) {
    let [start, length] = [[bytes[0], bytes[1], bytes[2], bytes[3]], [bytes[4], bytes[5], bytes[6], bytes[7]]];
    (u32::from_le_bytes(start) as usize, u32::from_le_bytes(length) as usize)
}

// SAFETY: type, ABI and type check are those of `Vec<String>`, which is `list<string>` to the engine.
unsafe impl ComponentType for Dictionary {
    type Lower = <Vec<String> as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = <Vec<String> as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        <Vec<String> as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: it only reads through checked slices of the memory that the engine passes, and returns owned data.
unsafe impl Lift for Dictionary {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> Result<Self> {
        Ok(Vec::<String>::linear_lift_from_flat(cx, ty, src)?.into_iter().collect())
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        if let (StringEncoding::Utf8, Ok(list)) = (cx.options().string_encoding, bytes.try_into())
            && let Some(strings) = GuestStrings::find(cx.memory(), list)
        {
            cx.consume_fuel(strings.bytes + size_of_val(strings.spans))?;
            if let Some(values) = strings.copy() {
                return Ok(Self(values));
            }
        }
        Ok(Vec::<String>::linear_lift_from_memory(cx, ty, bytes)?.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = "ab\"cλd\u{1F600}e\n".as_bytes();

    /// A guest's memory: text, arbitrary bytes, and a list of spans behind them.
    fn memory(junk: &[u8], spans: &[(u32, u32)]) -> (Vec<u8>, [u8; STRING_BYTES]) {
        let mut memory = [TEXT, junk].concat();
        memory.resize(memory.len().next_multiple_of(4), 0);
        let first = memory.len() as u32;
        spans.iter().for_each(|&span| memory.extend_from_slice(&pointer(span)));
        (memory, pointer((first, spans.len() as u32)))
    }

    fn pointer((start, length): (u32, u32)) -> [u8; STRING_BYTES] {
        (u64::from(start) | u64::from(length) << 32).to_le_bytes()
    }

    fn read(memory: &[u8], list: [u8; STRING_BYTES]) -> Option<Values> {
        GuestStrings::find(memory, list)?.copy()
    }

    proptest! {
        #[test]
        fn each_string_read_is_the_one_its_span_names(
            junk in prop::collection::vec(any::<u8>(), 0..4),
            spans in prop::collection::vec((0..24u32, 0..9u32), 0..12),
        ) {
            let (memory, list) = memory(&junk, &spans);
            let one = |&(start, length): &(u32, u32)| {
                String::from_utf8(memory.get(start as usize..)?.get(..length as usize)?.to_vec()).ok()
            };
            let expected: Option<Vec<String>> = spans.iter().map(one).collect();
            prop_assert_eq!(read(&memory, list), expected.map(Values::from_iter));
        }
    }

    #[test]
    fn adjacent_values_are_read_like_any_others() {
        let (memory, list) = memory(&[], &[(0, 2), (2, 0), (2, 2), (0, 1), (4, 2), (6, 5)]);
        assert_eq!(read(&memory, list), Some(["ab", "", "\"c", "a", "λ", "d\u{1F600}"].iter().collect()));
    }

    #[test]
    fn a_character_split_over_two_values_is_left_to_the_engine() {
        let (memory, list) = memory(&[], &[(4, 1), (5, 1)]);
        assert_eq!(read(&memory, list), None);
    }

    #[test]
    fn spans_outside_the_memory_are_not_read() {
        let (whole, list) = memory(&[], &[(0, 1)]);
        let end = whole.len() as u32;
        assert!(read(&whole, list).is_some());
        for list in [(u32::MAX - 3, 1), (0, u32::MAX), (end - 4, 1), (end + 4, 0), (end - 7, 0)] {
            assert_eq!(read(&whole, pointer(list)), None, "{list:?}");
        }
        for span in [(u32::MAX, u32::MAX), (end - 1, 2), (end, 1)] {
            let (whole, list) = memory(&[], &[span]);
            assert_eq!(read(&whole, list), None, "{span:?}");
        }
    }
}
