//! Changes to a BPF object's ELF file before aya parses it: other section names, other contents, one section more.
//!
//! What grows is appended; nothing that stays is moved. It takes little-endian 64-bit files, which `ObjectFile` has checked;
//! what does not parse is `None`, never a panic.

const SECTION_HEADER: usize = 64;
const SYMBOL: usize = 24;
const RELOCATION: usize = 16;

const SHT_PROGBITS: u32 = 1;
const SHT_SYMTAB: u32 = 2;
const SHT_REL: u32 = 9;
const SHF_ALLOC: u64 = 2;
pub(super) const SHF_EXECINSTR: u64 = 4;
const STT_OBJECT: u8 = 1;
const STB_WEAK: u8 = 2;

/// The bytes of a file that is being changed.
#[derive(Debug)]
pub(super) struct Elf {
    bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
pub(super) struct Section {
    pub(super) index: usize,
    pub(super) name: String,
    kind: u32,
    pub(super) flags: u64,
    offset: usize,
    size: usize,
    link: usize,
    info: usize,
}

/// A symbol that another file is to define.
#[derive(Debug, Clone)]
pub(super) struct Undefined {
    pub(super) name: String,
    /// Its number in the symbol table.
    pub(super) index: usize,
    /// That it may stay undefined.
    pub(super) is_weak: bool,
    at: usize,
}

/// An instruction that names a symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation {
    /// Where in the file the instruction is.
    pub(super) at: usize,
    pub(super) symbol: usize,
}

impl Elf {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec() }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(super) fn sections(&self) -> Option<Vec<Section>> {
        let (table, count) = self.table()?;
        let names = self.header(table, self.short(0x3e)? as usize)?;
        let name_table = self.bytes.get(names.1..names.1.checked_add(names.2)?)?;
        (0..count)
            .map(|index| {
                let at = table.checked_add(index.checked_mul(SECTION_HEADER)?)?;
                let (_, offset, size) = self.header(table, index)?;
                Some(Section {
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

    pub(super) fn data(&self, section: &Section) -> Option<&[u8]> {
        self.bytes.get(section.offset..section.offset.checked_add(section.size)?)
    }

    /// The symbols that this file does not define.
    pub(super) fn undefined(&self, sections: &[Section]) -> Option<Vec<Undefined>> {
        let table = sections.iter().find(|section| section.kind == SHT_SYMTAB)?;
        let names = self.data(sections.get(table.link)?)?;
        let symbol = |index: usize| {
            let at = table.offset.checked_add(index.checked_mul(SYMBOL)?)?;
            let name = text(names, self.word(at)? as usize)?;
            let is_weak = self.bytes.get(at + 4)? >> 4 == STB_WEAK;
            Some((self.short(at + 6)?, Undefined { name, index, is_weak, at }))
        };
        let all: Option<Vec<_>> = (1..table.size / SYMBOL).map(symbol).collect();
        Some(all?.into_iter().filter(|(section, _)| *section == 0).map(|(_, symbol)| symbol).collect())
    }

    /// All instructions of executable sections that name a symbol.
    pub(super) fn relocations(&self, sections: &[Section]) -> Option<Vec<Relocation>> {
        let mut found = Vec::new();
        for table in sections.iter().filter(|section| section.kind == SHT_REL) {
            let code = sections.get(table.info)?;
            if code.flags & SHF_EXECINSTR == 0 {
                continue;
            }
            for entry in self.data(table)?.chunks_exact(RELOCATION) {
                let offset = usize::try_from(long(entry, 0)?).ok()?;
                let at = code.offset.checked_add(offset)?;
                // A 16-byte instruction is the largest that is patched.
                if offset.checked_add(8)? <= code.size {
                    found.push(Relocation { at, symbol: (long(entry, 8)? >> 32) as usize });
                }
            }
        }
        Some(found)
    }

    /// The 8 bytes of an instruction.
    pub(super) fn instruction(&mut self, at: usize) -> Option<&mut [u8; 8]> {
        self.bytes.get_mut(at..at.checked_add(8)?)?.try_into().ok()
    }

    /// Gives sections other names.
    pub(super) fn rename(&mut self, names: &[(usize, String)]) -> Option<()> {
        let (table, _) = self.table()?;
        let index = self.short(0x3e)? as usize;
        let (_, offset, size) = self.header(table, index)?;
        let mut name_table = self.bytes.get(offset..offset.checked_add(size)?)?.to_vec();
        for (section, name) in names {
            let place = u32::try_from(name_table.len()).ok()?;
            name_table.extend(name.bytes().chain([0]));
            self.put(table + section * SECTION_HEADER, &place.to_le_bytes())?;
        }
        self.replace(index, &name_table)
    }

    /// Gives a section other contents.
    pub(super) fn replace(&mut self, section: usize, data: &[u8]) -> Option<()> {
        let (table, count) = self.table()?;
        if section >= count {
            return None;
        }
        let offset = self.append(data);
        let at = table + section * SECTION_HEADER;
        self.put(at + 24, &(offset as u64).to_le_bytes())?;
        self.put(at + 32, &(data.len() as u64).to_le_bytes())
    }

    /// Adds a section of data and gives its number.
    pub(super) fn add(&mut self, name: &str, data: &[u8]) -> Option<usize> {
        let (table, count) = self.table()?;
        let offset = self.append(data);
        let mut headers = self.bytes.get(table..table.checked_add(count.checked_mul(SECTION_HEADER)?)?)?.to_vec();
        let mut header = [0; SECTION_HEADER];
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

    /// Defines a symbol as so many bytes at a place of a section.
    pub(super) fn define(&mut self, symbol: &Undefined, section: usize, at: u64, size: u64) -> Option<()> {
        let info = self.bytes.get_mut(symbol.at + 4)?;
        *info = *info & 0xf0 | STT_OBJECT;
        self.put(symbol.at + 6, &u16::try_from(section).ok()?.to_le_bytes())?;
        self.put(symbol.at + 8, &at.to_le_bytes())?;
        self.put(symbol.at + 16, &size.to_le_bytes())
    }

    /// Where the section headers begin, and how many there are.
    fn table(&self) -> Option<(usize, usize)> {
        let table = usize::try_from(self.long(0x28)?).ok()?;
        let count = self.short(0x3c)? as usize;
        self.bytes.get(table..table.checked_add(count.checked_mul(SECTION_HEADER)?)?)?;
        (self.short(0x3a)? as usize == SECTION_HEADER).then_some((table, count))
    }

    /// Number, offset and size of a section.
    fn header(&self, table: usize, index: usize) -> Option<(usize, usize, usize)> {
        let at = table.checked_add(index.checked_mul(SECTION_HEADER)?)?;
        let place = |at| usize::try_from(self.long(at)?).ok();
        Some((index, place(at + 24)?, place(at + 32)?))
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
    let end = bytes.iter().position(|byte| *byte == 0)?;
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
    fn a_changed_file_parses_with_other_names_and_a_section_more() {
        let mut elf = Elf::new(&biolatency());
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
    fn any_bytes_are_taken() {
        let whole = biolatency();
        for cut in [0, 10, 64, 1000, whole.len() - 100] {
            let _ = Elf::new(&whole[..cut]).sections();
        }
        let mut wild = whole;
        for at in (0..64).chain(wild.len() - 2000..wild.len()) {
            let kept = std::mem::replace(&mut wild[at], 0xff);
            let elf = Elf::new(&wild);
            if let Some(sections) = elf.sections() {
                let _ = (elf.undefined(&sections), elf.relocations(&sections));
            }
            wild[at] = kept;
        }
    }
}
