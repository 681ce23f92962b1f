//! Programs attached to places in files: uprobes and USDT probes.

use std::{collections::HashMap, os::fd::BorrowedFd, path::Path};

use super::{
    super::{
        probe::{self, MARK, OWN_FILE, SPEC_ARGUMENTS, Site},
        section::When,
        syscall::{self, LinkExtra, Whose},
    },
    Fault, Links, c_string, fits, one, probe_pmu, run_by,
};
use ebhost_limits::PROBED_FUNCTIONS;

/// The map that programs read USDT arguments from, and what is in it.
#[derive(Debug)]
pub(crate) struct UsdtSpecs<'a> {
    map: BorrowedFd<'a>,
    value_size: u32,
    max_entries: u32,
    numbers: HashMap<Vec<u8>, u32>,
}

impl<'a> UsdtSpecs<'a> {
    pub(crate) fn new(map: BorrowedFd<'a>, value_size: u32, max_entries: u32) -> Self {
        Self { map, value_size, max_entries, numbers: HashMap::new() }
    }

    /// The number of a spec in the map: one serves all places with the same arguments.
    fn number(&mut self, site: &Site) -> Result<u32, Fault> {
        if let Some(number) = self.numbers.get(&site.spec) {
            return Ok(*number);
        }
        let number = self.numbers.len() as u32;
        let size = self.value_size as usize;
        if number >= self.max_entries || site.spec.len() > size {
            let why = format!(
                "its map `__bpf_usdt_specs` has room for {} specs of {size} bytes, expected more of {} (of {SPEC_ARGUMENTS} arguments)",
                self.max_entries,
                site.spec.len()
            );
            return Err(Fault::Absent(why));
        }
        let mut value = site.spec.clone();
        value.resize(size, 0);
        syscall::map_update(self.map, (4, self.value_size), &number.to_le_bytes(), &value)
            .map_err(|error| Fault::Refused("its map `__bpf_usdt_specs` cannot be written".to_owned(), error))?;
        self.numbers.insert(site.spec.clone(), number);
        Ok(number)
    }
}

pub(super) fn uprobe(
    program: BorrowedFd<'_>,
    file: &str,
    symbol: Option<&str>,
    offset: u64,
    when: When,
) -> Result<Links, Fault> {
    let is_mark = file == OWN_FILE && symbol == Some(MARK);
    let path = probe::find(file).map_err(Fault::Absent)?;
    let start = match symbol {
        Some(_) if is_mark => probe::own_mark().map_err(|error| Fault::Refused("its own file".to_owned(), error))?,
        Some(symbol) => probe::offset_of(&path, symbol).map_err(Fault::Absent)?,
        None => 0,
    };
    // Another thread or process may pass by the mark as well; it is to run once.
    let whose = if is_mark { Whose::ThisThread } else { Whose::Everyone };
    let mut links = probe_at(program, &path, start + offset, (0, when, whose), None)?;
    links.is_mark = is_mark;
    Ok(links)
}

/// One link for all places; kernels before 6.6 have one for each.
pub(super) fn uprobes(
    program: BorrowedFd<'_>,
    file: &str,
    pattern: &str,
    when: When,
    attach_type: u32,
) -> Result<Links, Fault> {
    let path = probe::find(file).map_err(Fault::Absent)?;
    let offsets = probe::offsets_of(&path, |name| fits(name.as_bytes(), pattern.as_bytes())).map_err(Fault::Absent)?;
    let (shown, count) = (path.display(), offsets.len());
    if offsets.is_empty() {
        return Err(Fault::Absent(format!("{shown}: has no function that fits `{pattern}` among its symbols")));
    }
    if count > PROBED_FUNCTIONS {
        let why = format!("{shown}: found {count} functions that fit `{pattern}`, expected at most {PROBED_FUNCTIONS}");
        return Err(Fault::Absent(why));
    }
    let offsets: Vec<u64> = offsets.into_iter().collect();
    let text = c_string(&path.to_string_lossy())?;
    let places = LinkExtra::Places { path: &text, offsets: &offsets, on_return: u32::from(when == When::Return) };
    let link = syscall::link_create(program, 0, attach_type, places);
    if link.is_ok() || when == When::Both {
        return one(link, || format!("{shown}: the {count} functions that fit `{pattern}` (needs Linux 6.13)"));
    }
    let mut links = Links::default();
    for offset in offsets {
        links.files.extend(probe_at(program, &path, offset, (0, when, Whose::Everyone), None)?.files);
    }
    Ok(links)
}

pub(super) fn usdt(
    program: BorrowedFd<'_>,
    file: &str,
    provider: &str,
    name: &str,
    mut specs: Option<&mut UsdtSpecs<'_>>,
) -> Result<Links, Fault> {
    let path = probe::find(file).map_err(Fault::Absent)?;
    let mut links = Links::default();
    for site in probe::sites(&path, provider, name).map_err(Fault::Absent)? {
        // A program without that map asks for no argument.
        let cookie = specs.as_deref_mut().map(|specs| specs.number(&site)).transpose()?.map(u64::from);
        let counted = (site.semaphore, When::Entry, Whose::Everyone);
        links.files.extend(probe_at(program, &path, site.offset, counted, cookie)?.files);
    }
    Ok(links)
}

fn probe_at(
    program: BorrowedFd<'_>,
    path: &Path,
    offset: u64,
    (semaphore, when, whose): (u64, When, Whose),
    cookie: Option<u64>,
) -> Result<Links, Fault> {
    const SEMAPHORE_SHIFT: u32 = 32;
    let what = || format!("{} at {offset:#x}", path.display());
    let (pmu, config) = probe_pmu("uprobe", when)?;
    if semaphore >> SEMAPHORE_SHIFT != 0 {
        return Err(Fault::Absent(format!("{}: its semaphore lies beyond 4 GiB", what())));
    }
    let text = c_string(&path.to_string_lossy())?;
    let event = syscall::probe_open(pmu, config | semaphore << SEMAPHORE_SHIFT, &text, offset, whose)
        .map_err(|error| Fault::Refused(what(), error))?;
    run_by(program, event, cookie, what)
}
