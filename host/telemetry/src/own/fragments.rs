//! Encoded families, kept for the next scrape.

use std::{cell::RefCell, collections::HashMap, io, iter, mem};

use super::refresh::CollectedFamily;
use ebhost_metrics::{Created, Encoder, Format, Presentation, encode_fragment};

/// The families of a part as bytes, for each format in which they were asked for.
#[derive(Debug, Default)]
pub(super) struct Fragments(RefCell<HashMap<Format, Fragment>>);

/// All families of a part in one format, one behind the other.
#[derive(Debug, Default)]
struct Fragment {
    bytes: Vec<u8>,
    families: Vec<EncodedFamily>,
}

#[derive(Debug, Clone, Copy)]
struct EncodedFamily {
    /// [`CollectedFamily::version`].
    version: u64,
    start: usize,
    end: usize,
}

impl Fragments {
    /// Passes the families to an encoder of `format`; only those of another version than the last time are encoded.
    pub(super) fn encode(
        &self,
        format: Format,
        families: &[CollectedFamily],
        encoder: &mut dyn Encoder,
    ) -> io::Result<()> {
        let mut fragments = self.0.borrow_mut();
        let fragment = fragments.entry(format).or_default();
        if !fragment.is_current(families) {
            fragment.update(format, families);
        }
        encoder.fragment(&fragment.bytes)
    }
}

impl Fragment {
    fn is_current(&self, families: &[CollectedFamily]) -> bool {
        self.families.iter().map(|encoded| encoded.version).eq(families.iter().map(|family| family.version))
    }

    fn update(&mut self, format: Format, families: &[CollectedFamily]) {
        let before = mem::take(self);
        self.bytes.reserve(before.bytes.len());
        for (index, family) in families.iter().enumerate() {
            let start = self.bytes.len();
            match before.families.get(index).filter(|encoded| encoded.version == family.version) {
                Some(encoded) => self.bytes.extend_from_slice(&before.bytes[encoded.start..encoded.end]),
                None => self.bytes.extend_from_slice(&encode_one(format, family)),
            }
            self.families.push(EncodedFamily { version: family.version, start, end: self.bytes.len() });
        }
    }
}

fn encode_one(format: Format, family: &CollectedFamily) -> Vec<u8> {
    // No start time is known of them, so `Created` makes no difference.
    encode_fragment(format, Created::LeftOut, Presentation::exact(""), iter::once(family.family.series()))
}
