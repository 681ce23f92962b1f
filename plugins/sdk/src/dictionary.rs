//! The answer's dictionary column: each label value once a batch.

use crate::intern::Interner;
use crate::label::{Kind, Label};

/// Label values of one batch, and where they are.
#[derive(Default)]
pub struct Dictionary {
    values: Interner,
    /// For each of the batch's names its place plus 1, or 0.
    names: Vec<u32>,
}

impl Dictionary {
    /// With nothing in it, and nothing allocated.
    pub const fn new() -> Self {
        Self { values: Interner::new(), names: Vec::new() }
    }

    /// Empties it for a batch with so many names.
    pub(crate) fn begin(&mut self, names: usize) {
        self.values.begin();
        self.names.clear();
        self.names.resize(names, 0);
    }

    /// The values, in the order of their places.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |value: &[u8]| str::from_utf8(value).expect("only text is put in").to_owned();
        self.values.values().map(text).collect()
    }

    #[cfg(target_arch = "wasm32")]
    pub(crate) fn values(&mut self) -> &mut Interner {
        &mut self.values
    }

    /// The label's place.
    #[inline(always)]
    pub(crate) fn place(&mut self, label: &Label<'_>) -> u32 {
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

    /// A text's place.
    #[inline]
    pub fn text(&mut self, text: &str) -> u32 {
        self.values.bytes(text.as_bytes())
    }

    /// A number's place.
    #[inline(always)]
    pub fn unsigned(&mut self, number: u64) -> u32 {
        self.values.unsigned(number)
    }

    /// The place of the batch's name with this index.
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
    use crate::label::Name;

    #[test]
    fn a_value_has_one_place_however_it_comes() {
        let mut dictionary = Dictionary::new();
        dictionary.begin(2);
        let name = |index| Label::from(Name { text: "nvme0n1", index });
        assert_eq!(dictionary.place(&"read".into()), 0);
        assert_eq!(dictionary.place(&name(Some(1))), 1);
        assert_eq!(dictionary.place(&name(Some(1))), 1);
        assert_eq!(dictionary.place(&name(None)), 1);
        assert_eq!(dictionary.place(&String::from("nvme0n1").into()), 1);
        assert_eq!(dictionary.place(&"".into()), 2);
        assert_eq!(dictionary.texts(), ["read", "nvme0n1", ""]);
    }

    #[test]
    fn numbers_read_as_rust_prints_them() {
        let mut dictionary = Dictionary::new();
        dictionary.begin(0);
        let labels =
            || -> [Label<'_>; 5] { [0u64.into(), u64::MAX.into(), i64::MIN.into(), (-7i8).into(), 7u8.into()] };
        for _ in 0..2 {
            assert_eq!(labels().map(|label| dictionary.place(&label)), [0, 1, 2, 3, 4]);
        }
        assert_eq!(dictionary.place(&7i64.into()), 4);
        assert_eq!(dictionary.texts(), ["0", "18446744073709551615", "-9223372036854775808", "-7", "7"]);
    }
}
