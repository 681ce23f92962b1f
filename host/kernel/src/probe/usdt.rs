//! USDT probes: their notes in a file, and their arguments in the form that BPF programs read them by.
//!
//! A note says where the probe is, which counter is to be raised while somebody listens, and where each argument lies when
//! the probe is passed, as an assembler operand. Programs find that in a map, in the layout of libbpf's `usdt.bpf.h`.

use std::path::Path;

use object::{Object as _, ObjectSection as _, ReadCache};

use super::file::{in_file, open};

/// Arguments that a program can ask for.
pub(crate) const SPEC_ARGUMENTS: usize = 12;
const ARGUMENT_BYTES: usize = 16;
const STAPSDT: u32 = 3;

/// One place of a probe: a probe may be in several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// Where in the file.
    pub(crate) offset: u64,
    /// Where in the file its counter is; 0: it has none.
    pub(crate) semaphore: u64,
    /// Its arguments, as `struct __bpf_usdt_spec` without what follows.
    pub(crate) spec: Vec<u8>,
}

/// All places of a probe in a file.
pub(crate) fn sites(path: &Path, provider: &str, name: &str) -> Result<Vec<Site>, String> {
    let shown = path.display();
    let file = open(path)?;
    let cache = ReadCache::new(file);
    let elf = object::File::parse(&cache).map_err(|error| format!("{shown}: is not an ELF file: {error}"))?;
    let notes = elf.section_by_name(".note.stapsdt").and_then(|section| section.data().ok());
    let notes = notes.ok_or_else(|| format!("{shown}: has no USDT probe (no section .note.stapsdt)"))?;
    // The linker may have moved the file's addresses after the notes were written; this section was moved with them.
    let base = elf.section_by_name(".stapsdt.base").map(|section| section.address());
    let mut found = Vec::new();
    let mut others = Vec::new();
    for note in parse(notes) {
        if note.provider != provider || note.name != name {
            others.push(format!("{}:{}", note.provider, note.name));
            continue;
        }
        let moved = |address: u64| base.map_or(address, |base| address.wrapping_add(base.wrapping_sub(note.base)));
        let offset = in_file(&elf, moved(note.address))
            .ok_or_else(|| format!("{shown}: {provider}:{name} lies in no segment of the file"))?;
        let semaphore = match note.semaphore {
            0 => 0,
            address => in_file(&elf, moved(address))
                .ok_or_else(|| format!("{shown}: the semaphore of {provider}:{name} lies in no segment of the file"))?,
        };
        let spec = spec(note.arguments).map_err(|why| format!("{shown}: {provider}:{name}: {why}"))?;
        found.push(Site { offset, semaphore, spec });
    }
    if found.is_empty() {
        others.sort();
        others.dedup();
        let others = if others.is_empty() { "none".to_owned() } else { others.join(", ") };
        return Err(format!("{shown}: has no USDT probe {provider}:{name}, it has {others}"));
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

/// Where an argument lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Constant(i64),
    /// A register, by its offset in `struct pt_regs`.
    Register(i16),
    /// Memory, so far from a register's address.
    Memory {
        register: i16,
        offset: i64,
    },
    /// Memory, so far from the sum of a register's address and another register, which is shifted.
    Indexed {
        register: i16,
        index: i16,
        shift: u32,
        offset: i64,
    },
}

impl Place {
    /// A number, the kind with what an index needs, and a register, as `struct __bpf_usdt_arg_spec` has them. Programs that were built
    /// with a `usdt.bpf.h` from before 1.7 do not know the last kind, and get an error for that argument.
    fn fields(self) -> (i64, u32, i16) {
        match self {
            Self::Constant(value) => (value, 0, 0),
            Self::Register(register) => (0, 1, register),
            Self::Memory { register, offset } => (offset, 2, register),
            Self::Indexed { register, index, shift, offset } => {
                (offset, 3 | u32::from(index.cast_unsigned()) << 8 | shift << 20, register)
            }
        }
    }
}

/// Arguments such as `-4@%eax 8@16(%rbp) 8@$5`, as programs read them: an array of arguments, a number of the attacher's,
/// how many there are.
fn spec(arguments: &str) -> Result<Vec<u8>, String> {
    let arguments = split(arguments);
    if arguments.len() > SPEC_ARGUMENTS {
        return Err(format!("found {} arguments, expected at most {SPEC_ARGUMENTS}", arguments.len()));
    }
    let mut spec = Vec::with_capacity(SPEC_ARGUMENTS * ARGUMENT_BYTES + 16);
    for text in &arguments {
        let (size, place) = argument(text).ok_or_else(|| {
            format!("found the argument `{text}`, expected a size of 1, 2, 4 or 8, `@`, and a constant, a register or a place in memory by registers")
        })?;
        let (value, kind, register) = place.fields();
        spec.extend(value.to_le_bytes());
        spec.extend(kind.to_le_bytes());
        spec.extend(register.to_le_bytes());
        spec.push(u8::from(size < 0));
        spec.push((64 - size.unsigned_abs() * 8) as u8);
    }
    spec.resize(SPEC_ARGUMENTS * ARGUMENT_BYTES + 8, 0);
    spec.extend((arguments.len() as u16).to_le_bytes());
    Ok(spec)
}

/// The arguments, with blanks between them; brackets may hold some too, as in `8@[sp, 8]`.
fn split(arguments: &str) -> Vec<&str> {
    let mut depth = 0;
    let parts = arguments.split(|c: char| {
        depth += i32::from(matches!(c, '[' | '(')) - i32::from(matches!(c, ']' | ')'));
        depth == 0 && c.is_ascii_whitespace()
    });
    parts.filter(|part| !part.is_empty()).collect()
}

/// Size in bytes, negative for signed numbers, and place.
fn argument(text: &str) -> Option<(i32, Place)> {
    let (size, operand) = text.split_once('@')?;
    let size: i32 = size.parse().ok()?;
    matches!(size.unsigned_abs(), 1 | 2 | 4 | 8).then_some((size, place(operand)?))
}

#[cfg(target_arch = "x86_64")]
fn place(operand: &str) -> Option<Place> {
    if let Some(constant) = operand.strip_prefix('$') {
        return Some(Place::Constant(integer(constant)?));
    }
    if let Some(register) = operand.strip_prefix('%') {
        return Some(Place::Register(register_offset(register)?));
    }
    let (offset, rest) = operand.split_once('(')?;
    let offset = if offset.is_empty() { 0 } else { integer(offset)? };
    let parts: Vec<_> = rest.strip_suffix(')')?.split(',').map(str::trim).collect();
    let register = |text: &str| register_offset(text.strip_prefix('%')?);
    match parts[..] {
        [base] => Some(Place::Memory { register: register(base)?, offset }),
        [base, index] => indexed(register(base)?, register(index)?, "1", offset),
        [base, index, scale] => indexed(register(base)?, register(index)?, scale, offset),
        _ => None,
    }
}

#[cfg(target_arch = "x86_64")]
fn indexed(register: i16, index: i16, scale: &str, offset: i64) -> Option<Place> {
    let shift = ["1", "2", "4", "8"].iter().position(|known| *known == scale)? as u32;
    Some(Place::Indexed { register, index, shift, offset })
}

/// Where `struct pt_regs` has a register, under any of its names.
#[cfg(target_arch = "x86_64")]
fn register_offset(name: &str) -> Option<i16> {
    const ORDER: [&str; 21] = [
        "r15", "r14", "r13", "r12", "bp", "bx", "r11", "r10", "r9", "r8", "ax", "cx", "dx", "si", "di", "orig_ax",
        "ip", "cs", "flags", "sp", "ss",
    ];
    let numbered = |name: &str| name.starts_with('r') && name[1..].starts_with(|c: char| c.is_ascii_digit());
    let plain = if numbered(name) {
        name.trim_end_matches(['d', 'w', 'b']).to_owned()
    } else {
        match name {
            "al" | "bl" | "cl" | "dl" => format!("{}x", &name[..1]),
            "sil" | "dil" | "bpl" | "spl" => name[..2].to_owned(),
            name => name.trim_start_matches(['r', 'e']).to_owned(),
        }
    };
    let place = ORDER.iter().position(|register| *register == plain)?;
    i16::try_from(place * 8).ok()
}

#[cfg(target_arch = "aarch64")]
fn place(operand: &str) -> Option<Place> {
    if let Some(inner) = operand.strip_prefix('[') {
        let mut parts = inner.strip_suffix(']')?.splitn(2, ',');
        let register = register_offset(parts.next()?.trim())?;
        let offset = parts.next().map_or(Some(0), |offset| integer(offset.trim()))?;
        return Some(Place::Memory { register, offset });
    }
    register_offset(operand).map(Place::Register).or_else(|| integer(operand).map(Place::Constant))
}

#[cfg(target_arch = "aarch64")]
fn register_offset(name: &str) -> Option<i16> {
    match name {
        "sp" => Some(31 * 8),
        name => {
            let number: i16 = name.strip_prefix('x')?.parse().ok()?;
            (number < 31).then_some(number * 8)
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn place(_operand: &str) -> Option<Place> {
    None
}

fn integer(text: &str) -> Option<i64> {
    let (digits, negative) = text.strip_prefix('-').map_or((text, false), |digits| (digits, true));
    let value = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok()?.cast_signed(),
        None => digits.parse::<u64>().ok()?.cast_signed(),
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn arguments_are_operands_of_the_assembler() {
        assert_eq!(argument("-4@%eax"), Some((-4, Place::Register(80))));
        assert_eq!(argument("8@%rdi"), Some((8, Place::Register(112))));
        assert_eq!(argument("1@%r8b"), Some((1, Place::Register(72))));
        assert_eq!(argument("1@%sil"), Some((1, Place::Register(104))));
        assert_eq!(argument("2@%bx"), Some((2, Place::Register(40))));
        assert_eq!(argument("8@16(%rbp)"), Some((8, Place::Memory { register: 32, offset: 16 })));
        assert_eq!(argument("-4@-20(%rsp)"), Some((-4, Place::Memory { register: 152, offset: -20 })));
        assert_eq!(argument("8@$-5"), Some((8, Place::Constant(-5))));
        let indexed = |index, shift, offset| Some(Place::Indexed { register: 80, index, shift, offset });
        assert_eq!(argument("8@(%rax,%rbx,8)"), Some(8).zip(indexed(40, 3, 0)));
        assert_eq!(argument("-4@8(%rax,%rbp,4)"), Some(-4).zip(indexed(32, 2, 8)));
        assert_eq!(argument("1@-0x10(%rax,%r15)"), Some(1).zip(indexed(0, 0, -16)));
        for unknown in ["3@%eax", "8@%xmm0", "8@foo(%rip)", "8@(%rax,%rbx,3)", "8@(,%rbx,8)", "8@(%rax,8)", "%eax", ""]
        {
            assert_eq!(argument(unknown), None, "{unknown}");
        }
    }

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
    fn any_notes_are_taken() {
        assert!(parse(b"").is_empty());
        assert!(parse(&[0xff; 40]).is_empty());
        let mut cut = [8u32, 26, STAPSDT].iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        cut.extend(b"stapsdt\0");
        cut.extend([1; 26]);
        assert!(parse(&cut).is_empty(), "texts without ends");
    }
}
