//! Symbols of an ELF file as places in the file, which is what the kernel puts probes at.

use std::{collections::BTreeSet, fs, io, path::Path};

use object::{ObjectSegment as _, ObjectSymbol as _, ReadCache, elf};

/// Where a symbol's code begins in the file.
pub(crate) fn offset_of(path: &Path, symbol: &str) -> Result<u64, String> {
    let shown = path.display();
    let cache = ReadCache::new(open(path)?);
    let elf = object::File::parse(&cache).map_err(|error| format!("{shown}: is not an ELF file: {error}"))?;
    // A version that is asked for with `@` chooses among symbols of one name; the plain name is the default one.
    let name = symbol.split('@').next().unwrap_or(symbol);
    let address = functions(&elf).into_iter().find(|(found, _)| *found == name).map(|(_, address)| address);
    let address = address.ok_or_else(|| format!("{shown}: has no function `{name}` among its symbols"))?;
    in_file(&elf, address).ok_or_else(|| format!("{shown}: `{name}` lies in no segment of the file"))
}

/// Where the code of those functions begins in the file whose names fit: each place once, whatever names it has.
pub(crate) fn offsets_of(path: &Path, fits: impl Fn(&str) -> bool) -> Result<BTreeSet<u64>, String> {
    let cache = ReadCache::new(open(path)?);
    let elf =
        object::File::parse(&cache).map_err(|error| format!("{}: is not an ELF file: {error}", path.display()))?;
    let fitting = functions(&elf).into_iter().filter(|(name, _)| fits(name));
    Ok(fitting.filter_map(|(_, address)| in_file(&elf, address)).collect())
}

/// Names and addresses of the functions that a file has symbols of.
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

/// Opens a file that a probe is to be put into.
pub(super) fn open(path: &Path) -> Result<fs::File, String> {
    fs::File::open(path).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "; ebhost reads only files that objects named when it started: start it again, as a user who may read it"
            }
            _ => "",
        };
        format!("{}: cannot be read: {error}{hint}", path.display())
    })
}

/// Where in the file the byte lies that is loaded at an address.
pub(super) fn in_file<'data>(elf: &impl object::Object<'data>, address: u64) -> Option<u64> {
    elf.segments().find_map(|segment| {
        let within = address.checked_sub(segment.address())?;
        let (start, size) = segment.file_range();
        (within < size).then_some(start + within)
    })
}

/// A function of this program that does nothing: programs that are to run once are attached to it, and it is called.
#[inline(never)]
extern "C" fn post_attach_mark() {
    std::hint::black_box(0x706f_7374_u64);
}

/// Runs what is attached to the mark, once.
pub(crate) fn run_mark() {
    std::hint::black_box(post_attach_mark as extern "C" fn())();
}

/// Where the mark lies in this program's file, found in memory: it is there even in a file without symbols.
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
    fn a_function_lies_where_memory_says() {
        // libc is mapped into this test: the two ways to its function have to agree.
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|line| line.contains("libc.so") && line.contains(" r-xp ")).unwrap();
        let mut fields = line.split_ascii_whitespace();
        let start = u64::from_str_radix(fields.next().unwrap().split_once('-').unwrap().0, 16).unwrap();
        let mapped_at = u64::from_str_radix(fields.nth(1).unwrap(), 16).unwrap();
        let path = fields.last().unwrap();
        let address = libc::getppid as *const () as u64;
        assert_eq!(offset_of(Path::new(path), "getppid"), Ok(address - start + mapped_at));
        assert_eq!(offset_of(Path::new(path), "getppid@GLIBC_2.2.5"), Ok(address - start + mapped_at));
    }

    #[test]
    fn functions_that_fit_are_each_found_once() {
        let libc = super::super::find("libc.so.6").unwrap();
        let offset = |symbol| offset_of(&libc, symbol).unwrap();
        // Two names of one function, and another.
        let found = offsets_of(&libc, |name| ["open", "open64", "getppid"].contains(&name)).unwrap();
        assert_eq!(found, BTreeSet::from([offset("open"), offset("getppid")]));
        assert_eq!(offset("open"), offset("open64"));
        assert!(offsets_of(&libc, |_| false).unwrap().is_empty());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let own = std::env::current_exe().unwrap();
        let message = offset_of(&own, "no_such_function").unwrap_err();
        assert!(message.ends_with("has no function `no_such_function` among its symbols"), "{message}");
        assert!(offset_of(Path::new("/etc/passwd"), "x").unwrap_err().contains("is not an ELF file"));
        assert!(offset_of(Path::new("/nowhere"), "x").unwrap_err().starts_with("/nowhere: cannot be read"));
    }

    #[test]
    fn the_mark_lies_in_this_file() {
        let own = std::env::current_exe().unwrap();
        assert!(own_mark().unwrap() < fs::metadata(own).unwrap().len());
    }
}
