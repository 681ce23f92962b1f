//! The dictionary column of an answer: every distinct label value of a batch, stored once and referred to by index.

use crate::intern::Interner;
use crate::label::{Kind, Label};

/// The distinct label values of one batch.
#[derive(Default)]
pub struct Dictionary {
    values: Interner,
    /// For each of the batch's looked-up names its index in `values` plus 1, or 0 while it has none.
    names: Vec<u32>,
}

impl Dictionary {
    /// An empty dictionary, without an allocation.
    pub const fn new() -> Self {
        Self { values: Interner::new(), names: Vec::new() }
    }

    /// Removes all values, for a batch with this number of looked-up names.
    pub(crate) fn clear(&mut self, names: usize) {
        self.values.clear();
        self.names.clear();
        self.names.resize(names, 0);
    }

    /// Copies of the values, by index.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |value: &[u8]| str::from_utf8(value).expect("only text is inserted").to_owned();
        self.values.values().map(text).collect()
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn values(&mut self) -> &mut Interner {
        &mut self.values
    }

    /// The index of a label value, which is inserted if it is new.
    #[inline(always)]
    pub(crate) fn index_of(&mut self, label: &Label<'_>) -> u32 {
        match &label.0 {
            Kind::Text(text) => self.text(text),
            Kind::Name(name) => match name.index {
                Some(index) => self.name(index, name.text),
                None => self.text(name.text),
            },
            Kind::Unsigned(number) => self.unsigned(*number),
            Kind::Signed(number) => self.values.signed(*number),
        }
    }

    /// The index of a text, which is inserted if it is new.
    #[inline]
    pub fn text(&mut self, text: &str) -> u32 {
        self.values.bytes(text.as_bytes())
    }

    /// The index of a number in decimal digits, which is inserted if it is new.
    #[inline(always)]
    pub fn unsigned(&mut self, number: u64) -> u32 {
        self.values.unsigned(number)
    }

    /// The index of a looked-up name: `text`, the batch's name number `index`. A name that was used before costs no hash.
    #[inline]
    pub fn name(&mut self, index: u32, text: &str) -> u32 {
        let index = index as usize;
        if self.names[index] == 0 {
            self.names[index] = self.text(text) + 1;
        }
        self.names[index] - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::LookupName;

    #[test]
    fn equal_values_of_different_types_share_an_index() {
        let mut dictionary = Dictionary::new();
        dictionary.clear(2);
        let name = |index| Label::from(LookupName { text: "nvme0n1", index });
        assert_eq!(dictionary.index_of(&"read".into()), 0);
        assert_eq!(dictionary.index_of(&name(Some(1))), 1);
        assert_eq!(dictionary.index_of(&name(Some(1))), 1);
        assert_eq!(dictionary.index_of(&name(None)), 1);
        assert_eq!(dictionary.index_of(&String::from("nvme0n1").into()), 1);
        assert_eq!(dictionary.index_of(&"".into()), 2);
        assert_eq!(dictionary.texts(), ["read", "nvme0n1", ""]);
    }

    #[test]
    fn numbers_are_formatted_as_rust_formats_them() {
        let mut dictionary = Dictionary::new();
        dictionary.clear(0);
        let labels =
            || -> [Label<'_>; 5] { [0u64.into(), u64::MAX.into(), i64::MIN.into(), (-7i8).into(), 7u8.into()] };
        for _ in 0..2 {
            assert_eq!(labels().map(|label| dictionary.index_of(&label)), [0, 1, 2, 3, 4]);
        }
        assert_eq!(dictionary.index_of(&7i64.into()), 4);
        assert_eq!(dictionary.texts(), ["0", "18446744073709551615", "-9223372036854775808", "-7", "7"]);
    }
}
