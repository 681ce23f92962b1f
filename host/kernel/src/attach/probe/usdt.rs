//! USDT probes: their notes in a file, and their arguments in the form that BPF programs read.
//!
//! A note has the location of the probe, the counter (semaphore) that is raised while the probe is attached, and where each argument is when
//! the probe fires, as an assembler operand. Programs read that from a map, in the layout of libbpf's `usdt.bpf.h`.
//! Notes: <https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation>.

use std::path::Path;

use object::{Object as _, ObjectSection as _, ReadCache};

use super::{
    ProbeError,
    operand::Argument,
    symbol::{self, file_offset},
};

/// Arguments that a program can read.
pub(crate) const SPEC_ARGUMENTS: usize = 12;
const ARGUMENT_BYTES: usize = 16;
const STAPSDT: u32 = 3;

/// One location of a probe: a probe may have several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UsdtSite {
    /// Its offset in the file.
    pub(crate) offset: u64,
    /// The file offset of its semaphore; 0: it has none.
    pub(crate) semaphore: u64,
    /// Its arguments, as `struct __bpf_usdt_spec` without padding at the end.
    pub(crate) spec: Vec<u8>,
}

/// All locations of a probe in a file.
///
/// # Errors
/// The file cannot be read, has no such probe, or the probe has an argument that programs cannot read.
pub(crate) fn usdt_sites(path: &Path, provider: &str, name: &str) -> Result<Vec<UsdtSite>, ProbeError> {
    let absent = |why: &str| ProbeError::Absent(format!("{}: {why}", path.display()));
    let cache = ReadCache::new(symbol::open(path)?);
    let elf = symbol::parse(path, &cache)?;
    let notes = elf.section_by_name(".note.stapsdt").and_then(|section| section.data().ok());
    let notes = notes.ok_or_else(|| absent("has no USDT probe (no section .note.stapsdt)"))?;
    // prelink may have moved addresses after the notes were written; this section was moved with them.
    let base = elf.section_by_name(".stapsdt.base").map(|section| section.address());
    let mut found = Vec::new();
    let mut others = Vec::new();
    for note in parse(notes) {
        if note.provider != provider || note.name != name {
            others.push(format!("{}:{}", note.provider, note.name));
            continue;
        }
        let moved = |address: u64| base.map_or(address, |base| address.wrapping_add(base.wrapping_sub(note.base)));
        let offset = file_offset(&elf, moved(note.address))
            .ok_or_else(|| absent(&format!("{provider}:{name} lies in no segment of the file")))?;
        let semaphore = match note.semaphore {
            0 => 0,
            address => file_offset(&elf, moved(address))
                .ok_or_else(|| absent(&format!("the semaphore of {provider}:{name} lies in no segment of the file")))?,
        };
        let spec = spec(note.arguments).map_err(|why| absent(&format!("{provider}:{name}: {why}")))?;
        found.push(UsdtSite { offset, semaphore, spec });
    }
    if found.is_empty() {
        others.sort();
        others.dedup();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        return Err(absent(&format!("has no USDT probe {provider}:{name}, it has {others}")));
    }
    Ok(found)
}

#[derive(Debug)]
struct Note<'a> {
    address: u64,
    base: u64,
    semaphore: u64,
    provider: &'a str,
    name: &'a str,
    arguments: &'a str,
}

fn parse(mut notes: &[u8]) -> Vec<Note<'_>> {
    let mut found = Vec::new();
    while let Some((note, rest)) = next(notes) {
        found.extend(note);
        notes = rest;
    }
    found
}

/// The first note, if it is a probe's, and what follows it.
fn next(notes: &[u8]) -> Option<(Option<Note<'_>>, &[u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(notes.get(at..at + 4)?.try_into().ok()?));
    let (name, description) = (word(0)? as usize, word(4)? as usize);
    let start = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
    let end = start.checked_add(description)?;
    let body = notes.get(start..end)?;
    let is_probe = word(8)? == STAPSDT && notes.get(12..12 + name)? == b"stapsdt\0";
    let rest = notes.get(end.checked_next_multiple_of(4)?..).unwrap_or_default();
    Some((if is_probe { note(body) } else { None }, rest))
}

fn note(body: &[u8]) -> Option<Note<'_>> {
    let long = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let mut texts = body.get(24..)?.split(|byte| *byte == 0).map(|text| std::str::from_utf8(text).ok());
    Some(Note {
        address: long(0)?,
        base: long(8)?,
        semaphore: long(16)?,
        provider: texts.next()??,
        name: texts.next()??,
        arguments: texts.next()??,
    })
}

/// Encodes arguments such as `-4@%eax 8@16(%rbp) 8@$5` as `struct __bpf_usdt_spec`: an array of arguments, a cookie, their number.
fn spec(arguments: &str) -> Result<Vec<u8>, String> {
    let arguments = split(arguments);
    if arguments.len() > SPEC_ARGUMENTS {
        return Err(format!("found {} arguments, expected at most {SPEC_ARGUMENTS}", arguments.len()));
    }
    let mut spec = Vec::with_capacity(SPEC_ARGUMENTS * ARGUMENT_BYTES + 16);
    for text in &arguments {
        let Argument { size, operand } = Argument::parse(text).ok_or_else(|| {
            format!("found the argument `{text}`, expected a size of 1, 2, 4 or 8, `@`, and a constant, a register or a place in memory by registers")
        })?;
        let operand = operand.encode();
        spec.extend(operand.value.to_le_bytes());
        spec.extend(operand.kind.to_le_bytes());
        spec.extend(operand.register.to_le_bytes());
        spec.push(u8::from(size < 0));
        spec.push((64 - size.unsigned_abs() * 8) as u8);
    }
    spec.resize(SPEC_ARGUMENTS * ARGUMENT_BYTES + 8, 0);
    spec.extend((arguments.len() as u16).to_le_bytes());
    Ok(spec)
}

/// Splits arguments at blanks, but not at blanks within brackets, as in `8@[sp, 8]`.
fn split(arguments: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = arguments.split(|c: char| {
        depth += i32::from(matches!(c, '[' | '(')) - i32::from(matches!(c, ']' | ')'));
        depth == 0 && c.is_ascii_whitespace()
    });
    parts.filter(|part| !part.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_have_blanks_between_them_and_within_brackets() {
        assert_eq!(split("8@x0 -4@[sp, 8]  8@5"), ["8@x0", "-4@[sp, 8]", "8@5"]);
        assert_eq!(split("8@(%rax, %rbx, 8)"), ["8@(%rax, %rbx, 8)"]);
        assert!(split(" ").is_empty());
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn a_spec_has_the_layout_that_programs_read() {
        let spec = spec("-4@%eax 8@16(%rbp) 2@-1(%rdi,%rsi,4)").unwrap();
        assert_eq!(spec.len(), 202);
        assert_eq!(spec[..16], [0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 80, 0, 1, 32]);
        assert_eq!(spec[16..32], [16, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 32, 0, 0, 0]);
        // 104 is 0x068: the index takes 12 bits, its shift 4.
        assert_eq!(spec[32..48], [255, 255, 255, 255, 255, 255, 255, 255, 3, 0x68, 0x20, 0, 112, 0, 0, 48]);
        assert_eq!(spec[200..], [3, 0]);
    }

    #[test]
    fn damaged_notes_do_not_panic() {
        assert!(parse(b"").is_empty());
        assert!(parse(&[0xff; 40]).is_empty());
        let mut cut = [8u32, 26, STAPSDT].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        cut.extend(b"stapsdt\0");
        cut.extend([1; 26]);
        assert!(parse(&cut).is_empty(), "strings without an end");
    }
}
