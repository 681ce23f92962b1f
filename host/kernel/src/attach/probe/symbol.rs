//! Symbols of an ELF file as file offsets, by which the kernel places probes.

use std::{collections::BTreeSet, fs, io, path::Path};

use object::{ObjectSegment as _, ObjectSymbol as _, ReadCache, elf};

use super::ProbeError;

/// The file offset of a function.
///
/// # Errors
/// The file cannot be read, or has no such function among its symbols.
pub(crate) fn offset_of(path: &Path, symbol: &str) -> Result<u64, ProbeError> {
    let shown = path.display();
    let cache = ReadCache::new(open(path)?);
    let elf = parse(path, &cache)?;
    // A version after `@` chooses among symbols of one name; the plain name is the default version.
    let name = symbol.split('@').next().unwrap_or(symbol);
    let address = functions(&elf).into_iter().find(|(found, _)| *found == name).map(|(_, address)| address);
    let address =
        address.ok_or_else(|| ProbeError::Absent(format!("{shown}: has no function `{name}` among its symbols")))?;
    file_offset(&elf, address)
        .ok_or_else(|| ProbeError::Absent(format!("{shown}: `{name}` lies in no segment of the file")))
}

/// The file offsets of all functions whose names match: each offset once, whatever names it has.
///
/// # Errors
/// The file cannot be read.
pub(crate) fn offsets_of(path: &Path, matches: impl Fn(&str) -> bool) -> Result<BTreeSet<u64>, ProbeError> {
    let cache = ReadCache::new(open(path)?);
    let elf = parse(path, &cache)?;
    let matching = functions(&elf).into_iter().filter(|(name, _)| matches(name));
    Ok(matching.filter_map(|(_, address)| file_offset(&elf, address)).collect())
}

/// Names and addresses of the functions among a file's symbols.
fn functions<'data, T: object::Object<'data>>(elf: &T) -> Vec<(&'data str, u64)> {
    let symbols = elf.dynamic_symbols().chain(elf.symbols());
    let functions = symbols
        .filter(|symbol| is_code(&symbol.flags()) && (symbol.is_definition() || symbol.address() != 0))
        .filter_map(|symbol| Some((symbol.name().ok()?, symbol.address())));
    functions.collect()
}

fn is_code<S, T>(flags: &object::SymbolFlags<S, T>) -> bool {
    match flags {
        object::SymbolFlags::Elf { st_info, .. } => matches!(st_info & 0xf, elf::STT_FUNC | elf::STT_GNU_IFUNC),
        _ => false,
    }
}

/// Opens a file to place a probe in.
pub(super) fn open(path: &Path) -> Result<fs::File, ProbeError> {
    fs::File::open(path).map_err(|error| ProbeError::Unreadable { path: path.to_owned(), error })
}

/// Parses an opened file.
pub(super) fn parse<'data>(
    path: &Path,
    cache: &'data ReadCache<fs::File>,
) -> Result<object::File<'data, &'data ReadCache<fs::File>>, ProbeError> {
    object::File::parse(cache).map_err(|error| ProbeError::NotElf { path: path.to_owned(), error })
}

/// The file offset of the byte that is loaded at an address.
pub(super) fn file_offset<'data>(elf: &impl object::Object<'data>, address: u64) -> Option<u64> {
    elf.segments().find_map(|segment| {
        let within = address.checked_sub(segment.address())?;
        let (start, size) = segment.file_range();
        (within < size).then_some(start + within)
    })
}

/// Does nothing. Programs that are to run once are attached to it, and then it is called.
#[inline(never)]
extern "C" fn post_attach_mark() {
    std::hint::black_box(0x706f_7374_u64);
}

/// Runs the programs that are attached to the mark, once.
pub(crate) fn run_mark() {
    std::hint::black_box(post_attach_mark as extern "C" fn())();
}

/// The file offset of the mark, derived from its address, so that it works in a stripped binary.
///
/// # Errors
/// `/proc/self/maps` cannot be read.
pub(crate) fn own_mark() -> io::Result<u64> {
    let address = std::hint::black_box(post_attach_mark as extern "C" fn()) as usize as u64;
    let maps = fs::read_to_string("/proc/self/maps")?;
    let found = maps.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (start, end, offset) = (number(start)?, number(end)?, number(fields.nth(1)?)?);
        (start..end).contains(&address).then(|| address - start + offset)
    });
    found.ok_or_else(|| io::Error::other("/proc/self/maps does not show this program's own code"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_the_offset_that_it_is_mapped_from() {
        // libc is mapped into this test: symbol and mapping have to agree.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("libc.so") && line.contains(" r-xp ")).unwrap();
        let mut fields = line.split_ascii_whitespace();
        let start = u64::from_str_radix(fields.next().unwrap().split_once('-').unwrap().0, 16).unwrap();
        let mapped_at = u64::from_str_radix(fields.nth(1).unwrap(), 16).unwrap();
        let path = fields.last().unwrap();
        let address = libc::getppid as *const () as u64;
        assert_eq!(offset_of(Path::new(path), "getppid").unwrap(), address - start + mapped_at);
        assert_eq!(offset_of(Path::new(path), "getppid@GLIBC_2.2.5").unwrap(), address - start + mapped_at);
    }

    #[test]
    fn functions_that_match_are_each_found_once() {
        let libc = super::super::find("libc.so.6").unwrap();
        let offset = |symbol| offset_of(&libc, symbol).unwrap();
        // Two names of one function, and another.
        let found = offsets_of(&libc, |name| ["open", "open64", "getppid"].contains(&name)).unwrap();
        assert_eq!(found, BTreeSet::from([offset("open"), offset("getppid")]));
        assert_eq!(offset("open"), offset("open64"));
        assert!(offsets_of(&libc, |_| false).unwrap().is_empty());
    }

    #[test]
    fn absent_functions_and_files_are_named() {
        let own = std::env::current_exe().unwrap();
        let message = offset_of(&own, "no_such_function").unwrap_err().to_string();
        assert!(message.ends_with("has no function `no_such_function` among its symbols"), "{message}");
        let message = |path| offset_of(Path::new(path), "x").unwrap_err().to_string();
        assert!(message("/etc/passwd").contains("is not an ELF file"));
        assert!(message("/nowhere").starts_with("/nowhere: cannot be read"));
    }

    #[test]
    fn the_mark_is_in_this_file() {
        let own = std::env::current_exe().unwrap();
        assert!(own_mark().unwrap() < fs::metadata(own).unwrap().len());
    }
}
