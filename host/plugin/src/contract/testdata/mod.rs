//! Values of WIT types laid out in a guest's memory, for components of tests.

use std::fmt::Write as _;

/// An address in the guest's memory.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointer(pub(super) u32);

/// The guest's constant data.
pub(super) struct Memory(Vec<u8>);

impl Memory {
    /// Address of the first byte.
    pub(super) const BASE: u32 = 1024;

    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// Puts the parts of a value one behind the other, aligned to 8 bytes, and returns its address.
    pub(super) fn put(&mut self, parts: &[&[u8]]) -> Pointer {
        self.0.resize(self.0.len().next_multiple_of(8), 0);
        let address = Self::BASE + self.0.len() as u32;
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
        Pointer(address)
    }

    /// A `string`, whose bytes are put into memory.
    pub(super) fn string(&mut self, text: &str) -> Vec<u8> {
        let bytes = self.put(&[text.as_bytes()]);
        Self::list(bytes, text.len() as u32)
    }

    /// A `list` of so many elements.
    pub(super) fn list(elements: Pointer, count: u32) -> Vec<u8> {
        [elements.0.to_le_bytes(), count.to_le_bytes()].concat()
    }

    /// All bytes as a string of the WASM text format.
    pub(super) fn escaped(&self) -> String {
        self.0.iter().fold(String::new(), |mut text, byte| {
            // Writing into a string does not fail.
            let _ = write!(text, "\\{byte:02x}");
            text
        })
    }
}
