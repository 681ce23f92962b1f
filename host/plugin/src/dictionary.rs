//! An answer's label values: read out of the guest's memory into one buffer.
//!
//! The engine would make each value a `String`, which is half of what a new key costs outside the sandbox. Values that lie one
//! behind the other, as the SDK's do, are copied in one piece. What is not plain (UTF-16, memory that is not there, bytes that
//! are no text) is left to the engine, whose word on it stands.

#![allow(unsafe_code, reason = "the engine's own trait for what is lifted is unsafe to implement")]

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

/// The values of an answer, as the engine reads them out of a guest's memory: a `list<string>` in one buffer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(unreachable_pub, reason = "a field of the generated `Rows`, whose derives need it")]
pub struct Dictionary(pub Values);

impl<S: AsRef<str>> FromIterator<S> for Dictionary {
    fn from_iter<I: IntoIterator<Item = S>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

/// A `string` in a guest's memory: where it lies and how long it is.
pub(super) const SPAN: usize = 8;

/// The strings of a list, found to lie within a guest's memory.
struct Lent<'a> {
    memory: &'a [u8],
    spans: &'a [[u8; SPAN]],
    /// Bytes of all of them.
    bytes: usize,
}

impl<'a> Lent<'a> {
    /// None: not all of it lies where it says, or it is too long for indices of 4 bytes.
    fn find(memory: &'a [u8], list: [u8; SPAN]) -> Option<Self> {
        let (first, count) = span(list);
        if !first.is_multiple_of(align_of::<u32>()) {
            return None;
        }
        let (spans, []) = memory.get(first..)?.get(..count.checked_mul(SPAN)?)?.as_chunks() else { return None };
        let mut bytes = 0;
        for one in spans {
            let (start, length) = span(*one);
            // Both are of 4 bytes, so their sum is one that a `usize` holds.
            if start + length > memory.len() {
                return None;
            }
            bytes += length;
        }
        (bytes <= u32::MAX as usize).then_some(Self { memory, spans, bytes })
    }

    /// None: not all of them are UTF-8.
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

fn span(bytes: [u8; SPAN]) -> (usize, usize) {
    let [start, length] = [[bytes[0], bytes[1], bytes[2], bytes[3]], [bytes[4], bytes[5], bytes[6], bytes[7]]];
    (u32::from_le_bytes(start) as usize, u32::from_le_bytes(length) as usize)
}

// SAFETY: it is what `Vec<String>` is to the engine in every respect, `list<string>`, and only read out of memory otherwise.
unsafe impl ComponentType for Dictionary {
    type Lower = <Vec<String> as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = <Vec<String> as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        <Vec<String> as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: it reads through checked slices of the memory that the engine hands over, and nothing that it does not own outlives the call.
unsafe impl Lift for Dictionary {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> Result<Self> {
        Ok(Vec::<String>::linear_lift_from_flat(cx, ty, src)?.into_iter().collect())
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        if let (StringEncoding::Utf8, Ok(list)) = (cx.options().string_encoding, bytes.try_into())
            && let Some(lent) = Lent::find(cx.memory(), list)
        {
            cx.consume_fuel(lent.bytes + size_of_val(lent.spans))?;
            if let Some(values) = lent.copy() {
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

    /// A guest's memory: text, bytes that are none, and a list of spans behind them.
    fn memory(junk: &[u8], spans: &[(u32, u32)]) -> (Vec<u8>, [u8; SPAN]) {
        let mut memory = [TEXT, junk].concat();
        memory.resize(memory.len().next_multiple_of(4), 0);
        let first = memory.len() as u32;
        spans.iter().for_each(|&span| memory.extend_from_slice(&pointer(span)));
        (memory, pointer((first, spans.len() as u32)))
    }

    fn pointer((start, length): (u32, u32)) -> [u8; SPAN] {
        (u64::from(start) | u64::from(length) << 32).to_le_bytes()
    }

    fn read(memory: &[u8], list: [u8; SPAN]) -> Option<Values> {
        Lent::find(memory, list)?.copy()
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_each_span_says(
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
    fn values_that_follow_each_other_are_read_as_any_others() {
        let (memory, list) = memory(&[], &[(0, 2), (2, 0), (2, 2), (0, 1), (4, 2), (6, 5)]);
        assert_eq!(read(&memory, list), Some(["ab", "", "\"c", "a", "λ", "d\u{1F600}"].iter().collect()));
    }

    #[test]
    fn a_character_in_two_values_is_in_neither() {
        let (memory, list) = memory(&[], &[(4, 1), (5, 1)]);
        assert_eq!(read(&memory, list), None);
    }

    #[test]
    fn what_is_not_in_memory_is_not_read() {
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
