//! An editor for a BPF object's ELF file: renames sections, replaces their contents, adds one.
//!
//! Data that grows is appended; nothing else is moved. It takes little-endian 64-bit files, which
//! [`ObjectFile`](super::ObjectFile) has checked. Bytes that do not parse give `None`, never a panic.
//! Format: <https://refspecs.linuxfoundation.org/elf/gabi4+/contents.html>.

use ebhost_limits::SECTION_NAME_BYTES;

const SECTION_HEADER_BYTES: usize = 64;
const SYMBOL_BYTES: usize = 24;
const RELOCATION_BYTES: usize = 16;

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_REL: u32 = 9;
const SHF_ALLOC: u64 = 2;
pub(crate) const SHF_EXECINSTR: u64 = 4;
const STT_OBJECT: u8 = 1;
const STB_WEAK: u8 = 2;

/// A file that is being edited.
#[derive(Debug)]
pub(crate) struct ElfEditor {
    bytes: Vec<u8>,
}

/// A section header, with the section's name.
#[derive(Debug, Clone)]
pub(crate) struct SectionHeader {
    pub(crate) index: usize,
    pub(crate) name: String,
    kind: u32,
    pub(crate) flags: u64,
    offset: usize,
    size: usize,
    link: usize,
    info: usize,
}

/// A symbol that the file does not define: an extern.
#[derive(Debug, Clone)]
pub(crate) struct UndefinedSymbol {
    pub(crate) name: String,
    /// Its index in the symbol table.
    pub(crate) index: usize,
    /// Whether it may stay undefined (`__weak`).
    pub(crate) is_weak: bool,
    /// The offset of its record in the file.
    at: usize,
}

/// An instruction that refers to a symbol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relocation {
    /// The offset of the instruction in the file.
    pub(crate) at: usize,
    /// The symbol's index.
    pub(crate) symbol: usize,
}

impl ElfEditor {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// All section headers.
    pub(crate) fn sections(&self) -> Option<Vec<SectionHeader>> {
        let (table, count) = self.table()?;
        let (names, names_size) = self.contents(table, self.short(0x3e)? as usize)?;
        let name_table = self.bytes.get(names..names.checked_add(names_size)?)?;
        (0..count)
            .map(|index| {
                let at = table.checked_add(index.checked_mul(SECTION_HEADER_BYTES)?)?;
                let (offset, size) = self.contents(table, index)?;
                Some(SectionHeader {
                    index,
                    name: text(name_table, self.word(at)? as usize)?,
                    kind: self.word(at + 4)?,
                    flags: self.long(at + 8)?,
                    offset,
                    size,
                    link: self.word(at + 40)? as usize,
                    info: self.word(at + 44)? as usize,
                })
            })
            .collect()
    }

    /// The contents of a section.
    pub(crate) fn data(&self, section: &SectionHeader) -> Option<&[u8]> {
        self.bytes.get(section.offset..section.offset.checked_add(section.size)?)
    }

    /// The symbols that the file does not define.
    pub(crate) fn undefined(&self, sections: &[SectionHeader]) -> Option<Vec<UndefinedSymbol>> {
        let table = sections.iter().find(|section| section.kind == SHT_SYMTAB)?;
        let names = self.data(sections.get(table.link)?)?;
        let symbol = |index: usize| {
            let at = table.offset.checked_add(index.checked_mul(SYMBOL_BYTES)?)?;
            let name = text(names, self.word(at)? as usize)?;
            let is_weak = self.bytes.get(at + 4)? >> 4 == STB_WEAK;
            Some((self.short(at + 6)?, UndefinedSymbol { name, index, is_weak, at }))
        };
        let all: Option<Vec<_>> = (1..table.size / SYMBOL_BYTES).map(symbol).collect();
        Some(all?.into_iter().filter(|(section, _)| *section == 0).map(|(_, symbol)| symbol).collect())
    }

    /// All instructions of executable sections that refer to a symbol.
    pub(crate) fn relocations(&self, sections: &[SectionHeader]) -> Option<Vec<Relocation>> {
        let mut found = Vec::new();
        for table in sections.iter().filter(|section| section.kind == SHT_REL) {
            let code = sections.get(table.info)?;
            if code.flags & SHF_EXECINSTR == 0 {
                continue;
            }
            for entry in self.data(table)?.chunks_exact(RELOCATION_BYTES) {
                let offset = usize::try_from(long(entry, 0)?).ok()?;
                let at = code.offset.checked_add(offset)?;
                // Instructions of 8 bytes are patched, and the second half of 16-byte ones by a bounds check of its own.
                if offset.checked_add(8)? <= code.size {
                    found.push(Relocation { at, symbol: (long(entry, 8)? >> 32) as usize });
                }
            }
        }
        Some(found)
    }

    /// The 8 bytes of an instruction.
    pub(crate) fn instruction(&mut self, at: usize) -> Option<&mut [u8; 8]> {
        self.bytes.get_mut(at..at.checked_add(8)?)?.try_into().ok()
    }

    /// Renames sections. `names`: section indexes and new names.
    pub(crate) fn rename(&mut self, names: &[(usize, String)]) -> Option<()> {
        let (table, _) = self.table()?;
        let index = self.short(0x3e)? as usize;
        let (offset, size) = self.contents(table, index)?;
        let mut name_table = self.bytes.get(offset..offset.checked_add(size)?)?.to_vec();
        for (section, name) in names {
            let name_offset = u32::try_from(name_table.len()).ok()?;
            name_table.extend(name.bytes().chain([0]));
            self.put(table + section * SECTION_HEADER_BYTES, &name_offset.to_le_bytes())?;
        }
        self.replace(index, &name_table)
    }

    /// Replaces the contents of a section.
    pub(crate) fn replace(&mut self, section: usize, data: &[u8]) -> Option<()> {
        let (table, count) = self.table()?;
        if section >= count {
            return None;
        }
        let offset = self.append(data);
        let at = table + section * SECTION_HEADER_BYTES;
        self.put(at + 24, &(offset as u64).to_le_bytes())?;
        self.put(at + 32, &(data.len() as u64).to_le_bytes())
    }

    /// Adds a section of data and returns its index.
    pub(crate) fn add(&mut self, name: &str, data: &[u8]) -> Option<usize> {
        let (table, count) = self.table()?;
        let offset = self.append(data);
        let mut headers = self.bytes.get(table..table.checked_add(count.checked_mul(SECTION_HEADER_BYTES)?)?)?.to_vec();
        let mut header = [0; SECTION_HEADER_BYTES];
        header[4..8].copy_from_slice(&SHT_PROGBITS.to_le_bytes());
        header[8..16].copy_from_slice(&SHF_ALLOC.to_le_bytes());
        header[24..32].copy_from_slice(&(offset as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(data.len() as u64).to_le_bytes());
        header[48] = 8;
        headers.extend(header);
        let table = self.append(&headers);
        self.put(0x28, &(table as u64).to_le_bytes())?;
        self.put(0x3c, &u16::try_from(count + 1).ok()?.to_le_bytes())?;
        self.rename(&[(count, name.to_owned())])?;
        Some(count)
    }

    /// Defines a symbol as an object of `size` bytes at an offset of a section.
    pub(crate) fn define(&mut self, symbol: &UndefinedSymbol, section: usize, offset: u64, size: u64) -> Option<()> {
        let info = self.bytes.get_mut(symbol.at + 4)?;
        *info = *info & 0xf0 | STT_OBJECT;
        self.put(symbol.at + 6, &u16::try_from(section).ok()?.to_le_bytes())?;
        self.put(symbol.at + 8, &offset.to_le_bytes())?;
        self.put(symbol.at + 16, &size.to_le_bytes())
    }

    /// The offset of the section headers, and their number.
    fn table(&self) -> Option<(usize, usize)> {
        let table = usize::try_from(self.long(0x28)?).ok()?;
        let count = self.short(0x3c)? as usize;
        self.bytes.get(table..table.checked_add(count.checked_mul(SECTION_HEADER_BYTES)?)?)?;
        (self.short(0x3a)? as usize == SECTION_HEADER_BYTES).then_some((table, count))
    }

    /// Offset and size of a section's contents.
    fn contents(&self, table: usize, index: usize) -> Option<(usize, usize)> {
        let at = table.checked_add(index.checked_mul(SECTION_HEADER_BYTES)?)?;
        let number = |at| usize::try_from(self.long(at)?).ok();
        Some((number(at + 24)?, number(at + 32)?))
    }

    fn append(&mut self, data: &[u8]) -> usize {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        self.bytes.extend_from_slice(data);
        self.bytes.len() - data.len()
    }

    fn put(&mut self, at: usize, data: &[u8]) -> Option<()> {
        self.bytes.get_mut(at..at.checked_add(data.len())?)?.copy_from_slice(data);
        Some(())
    }

    fn short(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
    }

    fn word(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
    }

    fn long(&self, at: usize) -> Option<u64> {
        long(&self.bytes, at)
    }
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

fn text(table: &[u8], at: usize) -> Option<String> {
    let bytes = table.get(at..)?;
    let end = bytes.iter().take(SECTION_NAME_BYTES).position(|byte| *byte == 0)?;
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

#[cfg(test)]
mod tests {
    use object::{Object as _, ObjectSection as _};

    use super::*;

    fn biolatency() -> Vec<u8> {
        std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/biolatency/biolatency.bpf.o")).unwrap()
    }

    #[test]
    fn an_edited_file_parses_with_new_names_and_one_more_section() {
        let mut elf = ElfEditor::new(&biolatency());
        let sections = elf.sections().unwrap();
        let program = sections.iter().find(|section| section.flags & SHF_EXECINSTR != 0 && section.size > 0).unwrap();
        elf.rename(&[(program.index, "kprobe/77".to_owned())]).unwrap();
        let added = elf.add(".rodata.more", b"twelve bytes").unwrap();
        assert_eq!(added, sections.len());
        let bytes = elf.into_bytes();
        let parsed = object::File::parse(&*bytes).unwrap();
        assert_eq!(parsed.section_by_name(".rodata.more").unwrap().data().unwrap(), b"twelve bytes");
        let original = biolatency();
        let original = object::File::parse(&*original).unwrap();
        let code = original.section_by_name(&program.name).unwrap().data().unwrap();
        assert_eq!(parsed.section_by_name("kprobe/77").unwrap().data().unwrap(), code);
        assert_eq!(parsed.sections().count(), original.sections().count() + 1);
    }

    #[test]
    fn damaged_files_do_not_panic() {
        let whole = biolatency();
        for cut in [0, 10, 64, 1000, whole.len() - 100] {
            let _ = ElfEditor::new(&whole[..cut]).sections();
        }
        let mut wild = whole;
        for at in (0..64).chain(wild.len() - 2000..wild.len()) {
            let kept = std::mem::replace(&mut wild[at], 0xff);
            let elf = ElfEditor::new(&wild);
            if let Some(sections) = elf.sections() {
                let _ = (elf.undefined(&sections), elf.relocations(&sections));
            }
            wild[at] = kept;
        }
    }
}
