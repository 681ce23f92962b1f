//! Components that a test assembles itself: a core module in WebAssembly text, and data in its memory as the canonical ABI lays it out.

use std::fmt::Write as _;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::folder::workspace;

/// Where the data of such a module begins; below is nothing, so that no list is at address 0.
pub const DATA_BASE: usize = 1024;

/// The initial content of a component's linear memory.
#[derive(Debug, Default)]
pub struct GuestData(Vec<u8>);

impl GuestData {
    /// Places bytes at an alignment and gives their address.
    pub fn place(&mut self, align: usize, bytes: &[u8]) -> u32 {
        self.0.resize(self.0.len().next_multiple_of(align), 0);
        let address = DATA_BASE + self.0.len();
        self.0.extend_from_slice(bytes);
        address as u32
    }

    /// A list whose elements are laid out already: its address and length.
    pub fn list(&mut self, align: usize, elements: &[Vec<u8>]) -> [u8; 8] {
        let address = self.place(align, &elements.concat());
        pair(address, elements.len() as u32)
    }

    pub fn string(&mut self, text: &str) -> [u8; 8] {
        pair(self.place(1, text.as_bytes()), text.len() as u32)
    }

    /// The address behind the data, at an alignment of 64 KiB.
    pub fn end(&self) -> usize {
        (DATA_BASE + self.0.len()).next_multiple_of(1 << 16)
    }

    /// A data segment, as WebAssembly text.
    pub fn segment(&self) -> String {
        let mut text = format!("(data (i32.const {DATA_BASE}) \"");
        for byte in &self.0 {
            let _ = write!(text, "\\{byte:02x}"); // a String takes what is written to it
        }
        text + "\")"
    }
}

/// Two numbers: an address and a length, mostly.
pub fn pair(first: u32, second: u32) -> [u8; 8] {
    let mut both = [0; 8];
    both[..4].copy_from_slice(&first.to_le_bytes());
    both[4..].copy_from_slice(&second.to_le_bytes());
    both
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Case and payload of a variant of so many bytes.
pub fn variant(case: u32, payload: &[u8], bytes: usize) -> Vec<u8> {
    let mut all = words(&[case]);
    all.extend_from_slice(payload);
    all.resize(bytes, 0);
    all
}

/// Makes a component of the plugins' world of a core module.
pub fn component_of(module: &str) -> Vec<u8> {
    let mut module = wat::parse_str(module).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(workspace().join("wit")).expect("the contract is valid WIT");
    let world = resolve.select_world(&[package], Some("plugin")).expect("its world is `plugin`");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("a module");
    let encoder = ComponentEncoder::default().module(&module).expect("a module with metadata");
    encoder.validate(true).encode().expect("a component")
}
