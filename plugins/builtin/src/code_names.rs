//! Symbolic names of error numbers and system call numbers, from the kernel's uapi headers. Error numbers are the same on all
//! architectures except a few old ones, which are not supported.

use std::collections::HashMap;

/// A map from numbers to names.
#[derive(Clone)]
pub(crate) struct CodeNames(HashMap<u64, &'static str>);

impl CodeNames {
    /// The names of error numbers.
    pub(crate) fn errno() -> Self {
        Self::parse(include_str!("data/errno"))
    }

    /// The names of an architecture's system calls; none if this component does not have them.
    pub(crate) fn syscalls(architecture: &str) -> Option<Self> {
        match architecture {
            "x86_64" => Some(Self::parse(include_str!("data/syscalls.x86_64"))),
            "aarch64" => Some(Self::parse(include_str!("data/syscalls.aarch64"))),
            _ => None,
        }
    }

    pub(crate) fn get(&self, number: u64) -> Option<&'static str> {
        self.0.get(&number).copied()
    }

    /// Parses lines that consist of a number and a name.
    fn parse(lines: &'static str) -> Self {
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
    fn every_line_has_a_number_and_a_name() {
        for (names, lines, last) in [
            (CodeNames::errno(), include_str!("data/errno"), (133, "EHWPOISON")),
            (CodeNames::syscalls("x86_64").unwrap(), include_str!("data/syscalls.x86_64"), (462, "mseal")),
            (CodeNames::syscalls("aarch64").unwrap(), include_str!("data/syscalls.aarch64"), (462, "mseal")),
        ] {
            assert_eq!(names.0.len(), lines.lines().count());
            assert_eq!(names.get(last.0), Some(last.1));
        }
        assert!(CodeNames::syscalls("vax").is_none());
    }
}
