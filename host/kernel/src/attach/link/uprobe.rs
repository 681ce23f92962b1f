//! Functions and USDT probes of files: `uprobe`, `uprobe.multi`, `usdt`. See <https://docs.kernel.org/trace/uprobetracer.html>.

use std::{os::fd::BorrowedFd, path::Path};

use super::{
    super::{
        probe::{self, MARK, OWN_FILE},
        section::FireAt,
    },
    AttachError, Links, RunBy, UsdtSpecs, c_string,
    pattern::{check_count, matches},
    perf_link::{self, ProbePmu},
};
use crate::sys::{LinkExtra, ProbeScope, link_create, probe_open};

/// A probe at one location of a file.
#[derive(Debug, Clone, Copy)]
struct Probe<'a> {
    path: &'a Path,
    offset: u64,
    /// The file offset of the counter that the kernel raises while the probe is attached; 0: none.
    semaphore: u64,
    when: FireAt,
    scope: ProbeScope,
    cookie: Option<u64>,
}

/// `uprobe/FILE:SYMBOL+OFFSET` and `uretprobe/FILE:SYMBOL`.
pub(super) fn uprobe(
    program: BorrowedFd<'_>,
    file: &str,
    symbol: Option<&str>,
    offset: u64,
    when: FireAt,
) -> Result<Links, AttachError> {
    let is_mark = file == OWN_FILE && symbol == Some(MARK);
    let path = probe::find(file)?;
    let start = match symbol {
        Some(_) if is_mark => probe::own_mark().map_err(|error| AttachError::refused("its own file", error))?,
        Some(symbol) => probe::offset_of(&path, symbol)?,
        None => 0,
    };
    // Other threads and processes may run the marked function as well; the program is to run once.
    let scope = if is_mark { ProbeScope::ThisThread } else { ProbeScope::EveryTask };
    let offset = start.wrapping_add(offset);
    let links = attach(program, &Probe { path: &path, offset, semaphore: 0, when, scope, cookie: None })?;
    Ok(Links { run: if is_mark { RunBy::Mark } else { RunBy::Kernel }, ..links })
}

/// `uprobe.multi/FILE:PATTERN` and the like: one link for all functions, or on kernels before 6.6 one for each.
pub(super) fn multi(
    program: BorrowedFd<'_>,
    file: &str,
    pattern: &str,
    when: FireAt,
    attach_type: u32,
) -> Result<Links, AttachError> {
    let path = probe::find(file)?;
    let offsets = probe::offsets_of(&path, |name| matches(name.as_bytes(), pattern.as_bytes()));
    let offsets: Vec<u64> = offsets?.into_iter().collect();
    let (shown, count) = (path.display(), offsets.len());
    if offsets.is_empty() {
        return Err(AttachError::Absent(format!("{shown}: has no function that fits `{pattern}` among its symbols")));
    }
    check_count(count, pattern, &format!("{shown}: "))?;
    let text = c_string(&path.to_string_lossy())?;
    let extra = LinkExtra::Offsets { path: &text, offsets: &offsets, flags: u32::from(when == FireAt::Return) };
    let link = link_create(program, 0, attach_type, extra);
    if link.is_ok() || when == FireAt::Both {
        return Links::one(link, || format!("{shown}: the {count} functions that fit `{pattern}` (needs Linux 6.13)"));
    }
    let mut links = Links::default();
    for offset in offsets {
        let probe = Probe { path: &path, offset, semaphore: 0, when, scope: ProbeScope::EveryTask, cookie: None };
        links.files.extend(attach(program, &probe)?.files);
    }
    Ok(links)
}

/// `usdt/FILE:PROVIDER:NAME`: one link for each location of the probe.
pub(super) fn usdt(
    program: BorrowedFd<'_>,
    file: &str,
    provider: &str,
    name: &str,
    mut specs: Option<&mut UsdtSpecs<'_>>,
) -> Result<Links, AttachError> {
    let path = probe::find(file)?;
    let mut links = Links::default();
    for site in probe::usdt_sites(&path, provider, name)? {
        // An object without that map reads no arguments.
        let cookie = specs.as_deref_mut().map(|specs| specs.id_of(&site)).transpose()?.map(u64::from);
        let (when, scope) = (FireAt::Entry, ProbeScope::EveryTask);
        let probe = Probe { path: &path, offset: site.offset, semaphore: site.semaphore, when, scope, cookie };
        links.files.extend(attach(program, &probe)?.files);
    }
    Ok(links)
}

fn attach(program: BorrowedFd<'_>, probe: &Probe<'_>) -> Result<Links, AttachError> {
    const SEMAPHORE_SHIFT: u32 = 32;
    let target = || format!("{} at {:#x}", probe.path.display(), probe.offset);
    let pmu = ProbePmu::find("uprobe", probe.when)?;
    if probe.semaphore >> SEMAPHORE_SHIFT != 0 {
        return Err(AttachError::Absent(format!("{}: its semaphore lies beyond 4 GiB", target())));
    }
    let config = pmu.config | probe.semaphore << SEMAPHORE_SHIFT;
    let event =
        probe_open(pmu.kind, config, Some(&c_string(&probe.path.to_string_lossy())?), probe.offset, probe.scope)
            .map_err(|error| AttachError::refused(target(), error))?;
    perf_link::attach(program, event, probe.cookie, target)
}
