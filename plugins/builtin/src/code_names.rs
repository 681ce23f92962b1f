//! Symbolic names of error numbers and system call numbers, from the kernel's uapi headers. Error numbers are the same on all
//! architectures except a few old ones, which are not supported.

use std::collections::HashMap;

/// The list that names of system calls are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyscallNames {
    Kernel,
    /// ebpf_exporter has the names of the functions by which strace prints arguments: `SEN(…)` in its `src/linux/*/syscallent.h`. One
    /// function prints several calls (`exit` and `exit_group`), and calls with 64-bit times have the names of their 32-bit siblings'.
    /// The files `data/syscalls.*.ebpf_exporter` have those that are not the kernel's.
    EbpfExporter,
}

/// A map from numbers to names.
#[derive(Clone)]
pub(crate) struct CodeNames(HashMap<u64, &'static str>);

impl CodeNames {
    /// The names of error numbers.
    pub(crate) fn errno() -> Self {
        Self::parse(include_str!("data/errno"))
    }

    /// The names of an architecture's system calls; none if this component does not have them.
    pub(crate) fn syscalls(architecture: &str, names: SyscallNames) -> Option<Self> {
        let (kernels, others) = match architecture {
            "x86_64" => (include_str!("data/syscalls.x86_64"), include_str!("data/syscalls.x86_64.ebpf_exporter")),
            "aarch64" => (include_str!("data/syscalls.aarch64"), include_str!("data/syscalls.aarch64.ebpf_exporter")),
            _ => return None,
        };
        let mut all = Self::parse(kernels);
        if names == SyscallNames::EbpfExporter {
            all.0.extend(Self::parse(others).0);
        }
        Some(all)
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

    fn kernels(architecture: &str) -> CodeNames {
        CodeNames::syscalls(architecture, SyscallNames::Kernel).unwrap()
    }

    #[test]
    fn every_line_has_a_number_and_a_name() {
        for (names, lines, last) in [
            (CodeNames::errno(), include_str!("data/errno"), (133, "EHWPOISON")),
            (kernels("x86_64"), include_str!("data/syscalls.x86_64"), (462, "mseal")),
            (kernels("aarch64"), include_str!("data/syscalls.aarch64"), (462, "mseal")),
        ] {
            assert_eq!(names.0.len(), lines.lines().count());
            assert_eq!(names.get(last.0), Some(last.1));
        }
        assert!(CodeNames::syscalls("vax", SyscallNames::Kernel).is_none());
    }

    /// A dashboard made for ebpf_exporter selects `syscall="futex_time64"`, and found nothing.
    #[test]
    fn ebpf_exporters_names_of_system_calls_can_be_had() {
        for (architecture, differ, futex, exit_group) in [("x86_64", 37, 202, 231), ("aarch64", 32, 98, 94)] {
            let (kernels, others) =
                (kernels(architecture), CodeNames::syscalls(architecture, SyscallNames::EbpfExporter).unwrap());
            assert_eq!(others.0.len(), kernels.0.len(), "no number is new");
            assert_eq!(others.0.iter().filter(|(number, name)| kernels.0[*number] != **name).count(), differ);
            assert_eq!((kernels.get(futex), others.get(futex)), (Some("futex"), Some("futex_time64")));
            assert_eq!((kernels.get(exit_group), others.get(exit_group)), (Some("exit_group"), Some("exit")));
            assert_eq!(others.get(462), Some("mseal"), "newer than ebpf_exporter's list");
        }
    }
}
