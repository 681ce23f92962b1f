//! The digest of the sources inside an artefact: the section `ebhost.sources` of an ELF object, or the custom section `ebhost:sources` of a
//! component. Neither the kernel nor a WebAssembly runtime reads it.

use std::fs;
use std::path::Path;

use object::read::elf::ElfFile64;
use object::{Endianness, Object, ObjectSection};

use crate::error::{Error, Result};

/// The section in BPF objects.
pub(crate) const ELF_SECTION: &str = "ebhost.sources";
/// The custom section in components.
const WASM_SECTION: &str = "ebhost:sources";

/// The digest in an artefact; none if it has no section for it.
pub(crate) fn read(path: &Path) -> Result<Option<String>> {
    let bytes = fs::read(path).map_err(Error::file(path))?;
    let sealed = if bytes.starts_with(b"\0asm") {
        sections(&bytes).and_then(|sections| Ok(custom(&sections)?.map(<[u8]>::to_vec)))
    } else {
        elf(&bytes)
    };
    let sealed = sealed.map_err(|why| Error::Format { path: path.into(), why })?;
    Ok(sealed.map(|digest| String::from_utf8_lossy(&digest).into_owned()))
}

/// Appends the digest to a component.
pub(crate) fn append(component: &mut Vec<u8>, digest: &str) {
    let mut section = leb128(WASM_SECTION.len());
    section.extend(WASM_SECTION.bytes().chain(digest.bytes()));
    component.push(0);
    component.extend(leb128(section.len()));
    component.extend(section);
}

/// The sections of a module or component, as numbers and contents.
pub(crate) fn sections(wasm: &[u8]) -> core::result::Result<Vec<(u8, &[u8])>, String> {
    let mut rest = wasm.get(8..).ok_or("is truncated, expected a component")?;
    let mut sections = Vec::new();
    while let Some((id, after)) = rest.split_first() {
        rest = after;
        let size = read_leb128(&mut rest)?;
        let (content, after) = rest.split_at_checked(size).ok_or("is truncated in a section")?;
        sections.push((*id, content));
        rest = after;
    }
    Ok(sections)
}

/// Reads a length-prefixed name and advances `rest` past it.
pub(crate) fn read_name<'w>(rest: &mut &'w [u8]) -> core::result::Result<&'w [u8], String> {
    let size = read_leb128(rest)?;
    let (name, after) = rest.split_at_checked(size).ok_or("is truncated in a name")?;
    *rest = after;
    Ok(name)
}

/// Reads an unsigned LEB128 number and advances `rest` past it.
pub(crate) fn read_leb128(rest: &mut &[u8]) -> core::result::Result<usize, String> {
    let mut number = 0;
    for shift in (0..32).step_by(7) {
        let (byte, after) = rest.split_first().ok_or("is truncated in a number")?;
        *rest = after;
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err("has a number of more than 32 bits".into())
}

fn leb128(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let byte = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            bytes.push(byte);
            return bytes;
        }
        bytes.push(byte | 0x80);
    }
}

fn custom<'w>(sections: &[(u8, &'w [u8])]) -> core::result::Result<Option<&'w [u8]>, String> {
    for (_, content) in sections.iter().filter(|(id, _)| *id == 0) {
        let mut rest = *content;
        if read_name(&mut rest)? == WASM_SECTION.as_bytes() {
            return Ok(Some(rest));
        }
    }
    Ok(None)
}

fn elf(bytes: &[u8]) -> core::result::Result<Option<Vec<u8>>, String> {
    let file = ElfFile64::<Endianness>::parse(bytes).map_err(|why| why.to_string())?;
    let section = file.section_by_name(ELF_SECTION);
    section.map(|section| section.data().map(<[u8]>::to_vec).map_err(|why| why.to_string())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_a_sealed_component_can_be_read() {
        let mut component = b"\0asm\x0d\0\x01\0\x00\x03\x01nx".to_vec();
        assert_eq!(custom(&sections(&component).expect("whole")), Ok(None));
        let digest = "sha256:".to_owned() + &"0f".repeat(100);
        append(&mut component, &digest);
        assert_eq!(custom(&sections(&component).expect("whole")), Ok(Some(digest.as_bytes())));
        component.pop();
        assert_eq!(sections(&component), Err("is truncated in a section".into()));
    }
}
