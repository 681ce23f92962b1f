//! BPF object files: parsed into plain data, relocated against the kernel's types, and linked into instructions that bpf(2) takes.
//!
//! It never asks the kernel for anything and does no I/O: bytes go in, plain data comes out. The parser is total: any bytes give an
//! [`Object`] or an error, never a panic, and never allocate more than a few times the length of the file.
//! The steps of libbpf's open and load phases are done here in the same order, so that an object that was compiled for libbpf
//! behaves the same:
//!
//! ```text
//! Object::parse(bytes)        sections, programs, maps, externs, relocation records
//!   object.set_global(…)      values of `const volatile` globals
//!   object.resolve_…(…)       configuration values and kernel symbols
//!   core::Relocator             CO-RE records against vmlinux' and modules' types
//!   object.link(program, …)   subprograms appended, map descriptors written in
//!   object.kernel_btf(…)      the object's own types in the form that the running kernel takes
//! ```
//!
//! References: the ELF format of BPF objects ([llvm docs]), BTF and `.BTF.ext` ([btf.rst]), CO-RE ([libbpf overview]).
//!
//! [llvm docs]: https://docs.kernel.org/bpf/llvm_reloc.html
//! [btf.rst]: https://docs.kernel.org/bpf/btf.html
//! [libbpf overview]: https://docs.kernel.org/bpf/libbpf/libbpf_overview.html#bpf-co-re-compile-once-run-everywhere

#![forbid(unsafe_code)]

pub mod btf;
mod btf_ext;
mod budget;
mod bytes;
pub mod core;
mod elf;
mod externs;
mod fixup;
pub mod insn;
mod link;
mod maps;
mod object;
mod programs;
mod relocations;

pub use btf::Btf;
pub use btf_ext::CoreRecord;
pub use externs::{ConfigValue, Extern, ExternKind, ExternState, ModuleFd};
pub use fixup::BtfFeatures;
pub use insn::Insn;
pub use link::{LinkError, Linked, MapFds};
pub use maps::{DataSection, InitialValue, Map, MapOrigin};
pub use object::{Global, Object, ParseError};
pub use programs::Program;
