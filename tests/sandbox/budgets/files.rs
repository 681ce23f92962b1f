//! Parts that are appended to a component's file: legal ones, which make the host or its compiler build much of little.

use std::fmt::Write as _;

use super::guest::HONEST;
use crate::loading::{core_modules, count_sections, leb128, wat};

const CORE_MODULE: u8 = 1;
const CORE_INSTANCE: u8 = 2;
const COMPONENT: u8 = 4;
const COMPONENT_INSTANCE: u8 = 5;

/// An honest component with more sections.
pub(super) struct File(Vec<u8>);

impl File {
    pub(super) fn honest() -> Self {
        Self(HONEST.component())
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }

    fn section(mut self, id: u8, content: &[u8]) -> Self {
        self.0.push(id);
        leb128(&mut self.0, content.len());
        self.0.extend_from_slice(content);
        self
    }

    /// A custom section of so many bytes.
    pub(super) fn padded(self, bytes: usize) -> Self {
        self.section(0, &[b"\x03pad", vec![0; bytes].as_slice()].concat())
    }

    /// A core module, and so many instances of it without arguments.
    pub(super) fn module(self, module: &str, instances: usize) -> Self {
        self.binary_module(&wat(module), instances)
    }

    pub(super) fn binary_module(self, module: &[u8], instances: usize) -> Self {
        let index = core_modules(&self.0);
        let file = self.section(CORE_MODULE, module);
        if instances == 0 {
            return file;
        }
        let mut content = Vec::new();
        leb128(&mut content, instances);
        for _ in 0..instances {
            content.push(0);
            leb128(&mut content, index);
            content.push(0);
        }
        file.section(CORE_INSTANCE, &content)
    }

    /// A component, and an instance of it without arguments.
    pub(super) fn component(self, component: &str) -> Self {
        let index = count_sections(&self.0, COMPONENT);
        let mut content = vec![1, 0];
        leb128(&mut content, index);
        content.push(0);
        self.section(COMPONENT, &wat(component)).section(COMPONENT_INSTANCE, &content)
    }
}

/// Components that each contain ten instances of the one before: ten million of the first.
pub(super) fn nested_instances() -> String {
    let mut text = "(component $top (component $c0)".to_owned();
    for level in 1..=7 {
        let inner = format!("(instance (instantiate $c{}))", level - 1).repeat(10);
        let _ = write!(text, "(component $c{level} (alias outer $top $c{0} (component $c{0})) {inner})", level - 1);
    }
    text + "(instance (instantiate $c7)))"
}

/// A component that instantiates what another one gives it.
pub(super) fn instances_of_an_import() -> String {
    "(component (component $empty) (component $twice (import \"c\" (component $c)) (instance (instantiate $c)))
       (instance (instantiate $twice (with \"c\" (component $empty)))))"
        .to_owned()
}

pub(super) fn globals(count: usize) -> String {
    format!("(module {})", "(global (mut i64) (i64.const 0))".repeat(count))
}

/// Conversions of three bytes, each of which takes dozens of bytes of native code.
pub(super) fn expanding_code(megabytes: usize) -> String {
    let body = "(local.set 0 (f64.convert_i64_u (i64.trunc_f64_u (local.get 0))))".repeat(1 << 10);
    let functions = megabytes * ((1 << 20) / (6 << 10));
    format!("(module {})", format!("(func (param f64) {body})").repeat(functions))
}

/// A data segment of so many bytes that nothing uses.
pub(super) fn passive_data(bytes: usize) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    let mut content = vec![1, 1];
    leb128(&mut content, bytes);
    content.resize(content.len() + bytes, 7);
    module.push(11);
    leb128(&mut module, content.len());
    module.extend_from_slice(&content);
    module
}

/// A memory with a byte at each end of 15 MB.
pub(super) fn sparse_image() -> String {
    "(module (memory 240) (data (i32.const 0) \"a\") (data (i32.const 15728639) \"b\"))".to_owned()
}

/// A list of so many functions that nothing uses.
pub(super) fn passive_elements(count: usize) -> String {
    format!("(module (func $f) (elem func {}))", "$f ".repeat(count))
}

/// Function types that are all different.
pub(super) fn distinct_types(count: usize) -> String {
    let mut text = "(module ".to_owned();
    for index in 0..count {
        let parameters: String = (0..20).map(|bit| if index >> bit & 1 == 0 { "i32 " } else { "i64 " }).collect();
        let _ = write!(text, "(type (func (param {parameters})))");
    }
    text + ")"
}

pub(super) fn tiny_functions(count: usize) -> String {
    format!("(module {})", "(func)".repeat(count))
}

pub(super) fn exports(count: usize) -> String {
    let mut text = "(module (func $f)".to_owned();
    for index in 0..count {
        let _ = write!(text, "(export \"e{index}\" (func $f))");
    }
    text + ")"
}

pub(super) fn long_name(bytes: usize) -> String {
    format!("(module (func (export \"{}\")))", "n".repeat(bytes))
}

pub(super) fn tables() -> String {
    "(module (table 1000 funcref))".to_owned()
}

pub(super) fn memory(pages: usize) -> String {
    format!("(module (memory {pages}))")
}
