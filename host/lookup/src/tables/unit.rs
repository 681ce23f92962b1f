//! `unit`: the systemd unit that a cgroup belongs to, by the cgroup's id.

use super::{Definition, Resolve};
use crate::{
    Found,
    key::{KeyWidths, number},
    sources::{Cgroups, SourceType},
};

/// Suffixes of units that have processes, apart from slices.
const SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

pub(super) const TABLE: Definition = Definition {
    name: "unit",
    key_widths: KeyWidths::OneOf(&[4, 8]),
    key: "the cgroup's id",
    value: "systemd unit that a cgroup belongs to: the first one below its slices, or else the innermost slice; empty if its path names none. Also \
            after the cgroup was removed",
    sources: &[SourceType::of::<Cgroups>()],
    resolve: Resolve::Found(|sources, key| {
        let Some(id) = number(key) else { return Found::Unknown };
        match sources.get::<Cgroups>().path(id) {
            Found::Name(path) => Found::Name(unit_of(&path).to_owned()),
            Found::Gone(path) => Found::Gone(unit_of(&path).to_owned()),
            unknown => unknown,
        }
    }),
};

/// The unit in a cgroup's path, as systemd itself determines it.
fn unit_of(path: &str) -> &str {
    if path == "/" {
        return "-.slice";
    }
    let mut slice = "";
    for folder in path.split('/').filter(|folder| !folder.is_empty()) {
        // systemd puts `_` before a name that the kernel could take for one of its own files.
        let name = folder.strip_prefix('_').unwrap_or(folder);
        if SUFFIXES.iter().any(|suffix| name.len() > suffix.len() && name.ends_with(suffix)) {
            return name;
        }
        if !name.ends_with(".slice") {
            break;
        }
        slice = name;
    }
    slice
}

#[cfg(test)]
mod tests {
    use super::unit_of;

    #[test]
    fn the_unit_is_the_first_one_below_the_slices() {
        for (path, unit) in [
            ("/", "-.slice"),
            ("/init.scope", "init.scope"),
            ("/system.slice", "system.slice"),
            ("/system.slice/nginx.service", "nginx.service"),
            ("/system.slice/nginx.service/worker", "nginx.service"),
            ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
            ("/user.slice/user-0.slice/user@0.service/app.slice/foo.service", "user@0.service"),
            ("/machine.slice/a.scope/payload/system.slice/b.service", "a.scope"),
            ("/system.slice/_cpu.service", "cpu.service"),
            ("/system.slice/docker/0a1b", "system.slice"),
            ("/docker/0a1b", ""),
            ("/.service", ""),
        ] {
            assert_eq!(unit_of(path), unit, "{path}");
        }
    }
}
