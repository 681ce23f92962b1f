//! Names of numbers, from the kernel's uapi headers: errors (the same everywhere but on a few old machines) and system calls.

use std::collections::HashMap;

/// Of each number its name.
#[derive(Clone)]
pub(crate) struct Names(HashMap<u64, &'static str>);

impl Names {
    pub(crate) fn errno() -> Self {
        Self::of(include_str!("data/errno"))
    }

    /// None: the architecture is not known here.
    pub(crate) fn syscalls(architecture: &str) -> Option<Self> {
        match architecture {
            "x86_64" => Some(Self::of(include_str!("data/syscalls.x86_64"))),
            "aarch64" => Some(Self::of(include_str!("data/syscalls.aarch64"))),
            _ => None,
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&'static str> {
        self.0.get(&number).copied()
    }

    /// Lines of a number and a name.
    fn of(lines: &'static str) -> Self {
        let line = |line: &'static str| {
            let (number, name) = line.split_once(' ')?;
            Some((number.parse().ok()?, name))
        };
        Self(lines.lines().filter_map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_name() {
        for (names, lines, last) in [
            (Names::errno(), include_str!("data/errno"), (133, "EHWPOISON")),
            (Names::syscalls("x86_64").unwrap(), include_str!("data/syscalls.x86_64"), (462, "mseal")),
            (Names::syscalls("aarch64").unwrap(), include_str!("data/syscalls.aarch64"), (462, "mseal")),
        ] {
            assert_eq!(names.0.len(), lines.lines().count());
            assert_eq!(names.get(last.0), Some(last.1));
        }
        assert!(Names::syscalls("vax").is_none());
    }
}
