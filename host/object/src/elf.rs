//! ELF files of 64 bits and little-endian order: sections, symbols and relocations, borrowed from the file.
//!
//! It takes any bytes. A file whose tables do not lie within it is an error; nothing is allocated before the file was seen to hold it.

use crate::{
    bytes::{range, text_at, u16_at, u32_at, u64_at},
    object::ParseError,
};

pub(crate) const SHT_SYMTAB: u32 = 2;
pub(crate) const SHT_NOBITS: u32 = 8;
pub(crate) const SHT_REL: u32 = 9;
pub(crate) const SHF_ALLOC: u64 = 2;
pub(crate) const SHF_EXECINSTR: u64 = 4;

pub(crate) const STB_LOCAL: u8 = 0;
pub(crate) const STB_WEAK: u8 = 2;
pub(crate) const STT_FUNC: u8 = 2;
pub(crate) const STT_SECTION: u8 = 3;
pub(crate) const STV_HIDDEN: u8 = 2;
pub(crate) const STV_INTERNAL: u8 = 1;
/// The section number of symbols that the file does not define.
pub(crate) const SHN_UNDEF: u16 = 0;

const HEADER_BYTES: usize = 64;
const SECTION_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;
const RELOCATION_BYTES: usize = 16;
const EM_BPF: u16 = 247;

/// A parsed file.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    pub(crate) sections: Vec<Section<'a>>,
    pub(crate) symbols: Vec<Symbol<'a>>,
    /// Indices of symbols in the order of their sections and names.
    by_name: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Section<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    /// Empty for a section without contents in the file, such as `.bss`.
    pub(crate) data: &'a [u8],
    /// Its size in memory.
    pub(crate) size: u64,
    pub(crate) info: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: u64,
    pub(crate) size: u64,
    pub(crate) bind: u8,
    pub(crate) kind: u8,
    pub(crate) visibility: u8,
    pub(crate) section: u16,
}

/// A place in a section that names a symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Relocation {
    /// Bytes from the section's start.
    pub(crate) offset: u64,
    pub(crate) symbol: u32,
}

impl Section<'_> {
    pub(crate) fn is_code(&self) -> bool {
        self.flags & SHF_EXECINSTR != 0
    }
}

impl<'a> Symbol<'a> {
    fn place(&self) -> (u16, &'a str) {
        (self.section, self.name)
    }

    pub(crate) fn is_undefined(&self) -> bool {
        self.section == SHN_UNDEF
    }

    /// Whether only this object may use it.
    pub(crate) fn is_hidden(&self) -> bool {
        matches!(self.visibility, STV_HIDDEN | STV_INTERNAL)
    }
}

impl<'a> Elf<'a> {
    /// Parses a file, or says in a few words what is wrong with it.
    pub(crate) fn parse(file: &'a [u8]) -> Result<Self, ParseError> {
        check_header(file)?;
        Self::tables(file).map_err(ParseError::NotElf)
    }

    fn tables(file: &'a [u8]) -> Result<Self, String> {
        let sections = sections(file).ok_or("its section table is damaged")?;
        // Contents are copied, some of them: sections that share bytes would make a small file a large object.
        let bytes = sections.iter().map(|raw| raw.section.data.len() as u64).sum::<u64>();
        if bytes > file.len() as u64 {
            return Err("its sections overlap".into());
        }
        let symbols = symbols(&sections).ok_or("its symbol table is damaged")?;
        let sections = sections.into_iter().map(|raw| raw.section).collect();
        let mut by_name: Vec<u32> = (0..symbols.len() as u32).collect();
        by_name.sort_by_key(|index| symbols[*index as usize].place());
        Ok(Self { sections, symbols, by_name })
    }

    /// The first symbol of a name in a section.
    pub(crate) fn symbol(&self, section: u16, name: &str) -> Option<&Symbol<'a>> {
        let at = self.by_name.partition_point(|index| self.symbols[*index as usize].place() < (section, name));
        let found = &self.symbols[*self.by_name.get(at)? as usize];
        (found.place() == (section, name)).then_some(found)
    }

    pub(crate) fn section(&self, name: &str) -> Option<(usize, &Section<'a>)> {
        self.sections.iter().enumerate().find(|(_, section)| section.name == name)
    }

    /// All relocations that apply to a section.
    pub(crate) fn relocations(&self, section: usize) -> impl Iterator<Item = Relocation> + '_ {
        let tables = self.sections.iter().filter(move |table| table.kind == SHT_REL && table.info as usize == section);
        tables.flat_map(|table| table.data.chunks_exact(RELOCATION_BYTES)).filter_map(|entry| {
            Some(Relocation { offset: u64_at(entry, 0)?, symbol: (u64_at(entry, 8)? >> 32) as u32 })
        })
    }
}

fn check_header(file: &[u8]) -> Result<(), ParseError> {
    let header = file.get(..HEADER_BYTES);
    if !file.starts_with(b"\x7fELF") {
        return Err(ParseError::NotElf("it does not begin like one".into()));
    }
    let header = header.ok_or_else(|| ParseError::NotElf("it is shorter than its header".into()))?;
    let is_big = header[5] == 2;
    let machine = [header[18], header[19]];
    let machine = if is_big { u16::from_be_bytes(machine) } else { u16::from_le_bytes(machine) };
    if machine == EM_BPF && !is_big && header[4] == 2 {
        return Ok(());
    }
    let name = match machine {
        3 => "I386".to_owned(),
        40 => "Arm".to_owned(),
        62 => "X86_64".to_owned(),
        183 => "Aarch64".to_owned(),
        243 => "Riscv".to_owned(),
        EM_BPF => "Bpf".to_owned(),
        other => format!("ELF machine {other}"),
    };
    Err(ParseError::OtherMachine(if is_big { format!("big-endian {name}") } else { name }))
}

struct RawSection<'a> {
    section: Section<'a>,
    link: usize,
}

fn sections(file: &[u8]) -> Option<Vec<RawSection<'_>>> {
    let table = usize::try_from(u64_at(file, 0x28)?).ok()?;
    let header = |index: usize| range(file, table.checked_add(index.checked_mul(SECTION_BYTES)?)?, SECTION_BYTES);
    if u16_at(file, 0x3a)? as usize != SECTION_BYTES {
        return None;
    }
    // Beyond 65 279 sections the numbers are in section 0.
    let count = match u16_at(file, 0x3c)? {
        0 => usize::try_from(u64_at(header(0)?, 32)?).ok()?,
        count => count as usize,
    };
    range(file, table, count.checked_mul(SECTION_BYTES)?)?;
    let names = match u16_at(file, 0x3e)? {
        0xffff => u32_at(header(0)?, 40)? as usize,
        names => names as usize,
    };
    let names = contents(file, header(names)?)?;
    (0..count).map(|index| section(file, header(index)?, names)).collect()
}

fn section<'a>(file: &'a [u8], header: &[u8], names: &'a [u8]) -> Option<RawSection<'a>> {
    let kind = u32_at(header, 4)?;
    // Section 0 is a placeholder, whose size may be a number of sections.
    let data = if kind == 0 || kind == SHT_NOBITS { &[][..] } else { contents(file, header)? };
    Some(RawSection {
        section: Section {
            name: text_at(names, u32_at(header, 0)? as usize)?,
            kind,
            flags: u64_at(header, 8)?,
            data,
            size: u64_at(header, 32)?,
            info: u32_at(header, 44)?,
        },
        link: u32_at(header, 40)? as usize,
    })
}

fn contents<'a>(file: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    range(file, usize::try_from(u64_at(header, 24)?).ok()?, usize::try_from(u64_at(header, 32)?).ok()?)
}

fn symbols<'a>(sections: &[RawSection<'a>]) -> Option<Vec<Symbol<'a>>> {
    let Some(table) = sections.iter().find(|raw| raw.section.kind == SHT_SYMTAB) else { return Some(Vec::new()) };
    let names = sections.get(table.link)?.section.data;
    let symbol = |entry: &[u8]| {
        let info = *entry.get(4)?;
        Some(Symbol {
            name: text_at(names, u32_at(entry, 0)? as usize)?,
            bind: info >> 4,
            kind: info & 0x0f,
            visibility: entry.get(5)? & 3,
            section: u16_at(entry, 6)?,
            value: u64_at(entry, 8)?,
            size: u64_at(entry, 16)?,
        })
    };
    table.section.data.chunks_exact(SYMBOL_BYTES).map(symbol).collect()
}
