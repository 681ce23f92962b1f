//! The systemd unit that a cgroup belongs to, by its path, as systemd itself determines it.

/// Suffixes of units that have processes, apart from slices.
const SUFFIXES: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// The unit in a cgroup's path: the first one below its slices, or else the innermost slice. Empty: the path names no unit, as on a machine
/// without systemd.
pub(crate) fn unit_of(path: &str) -> &str {
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
