//! What the running kernel answers to an object's externs: configuration values, addresses of symbols, numbers of functions.
//!
//! The configuration is that of `/proc/config.gz` or `/boot/config-RELEASE`, whichever can be read; addresses come from
//! `/proc/kallsyms`, which shows them to who has CAP_SYSLOG.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead as _, BufReader, Read as _},
};

use aya_obj::btf::{Btf, BtfKind};
use flate2::read::GzDecoder;

use super::types::Shape;

/// The kernel as objects ask it; what costs something is read when first asked for.
#[derive(Debug)]
pub(super) struct Externs<'a> {
    types: Option<&'a Btf>,
    configuration: Option<Option<HashMap<String, String>>>,
}

impl<'a> Externs<'a> {
    pub(super) fn new(types: Option<&'a Btf>) -> Self {
        Self { types, configuration: None }
    }

    /// The bytes of a configuration value; none: it is not known here.
    pub(super) fn configured(&mut self, name: &str, shape: Shape) -> Option<Vec<u8>> {
        match name {
            "LINUX_KERNEL_VERSION" => number(u64::from(version_code()), shape),
            "LINUX_HAS_BPF_COOKIE" => number(u64::from(aya::features().bpf_cookie()), shape),
            "LINUX_HAS_SYSCALL_WRAPPER" => {
                let name = format!("__{}_sys_bpf", syscall_prefix());
                number(u64::from(!addresses(&[&name]).is_empty()), shape)
            }
            name => {
                let configuration = self.configuration.get_or_insert_with(configuration).as_ref()?;
                encode(configuration.get(name)?, shape)
            }
        }
    }

    /// The number of a kernel variable or function among the kernel's types.
    pub(super) fn type_id(&self, name: &str, kind: BtfKind) -> Option<u32> {
        self.types?.id_by_type_name_kind(name, kind).ok()
    }
}

/// The prefix of the kernel's functions for system calls, without underscores.
pub(super) fn syscall_prefix() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "s390x" => "s390x",
        "riscv64" => "riscv",
        other => other,
    }
}

/// Where kernel symbols lie; those that are not there, or whose addresses are hidden, are left out.
pub(super) fn addresses(names: &[&str]) -> HashMap<String, u64> {
    let wanted: HashSet<_> = names.iter().copied().collect();
    let mut found = HashMap::new();
    let Ok(file) = fs::File::open("/proc/kallsyms") else { return found };
    let mut lines = BufReader::new(file);
    let mut line = String::new();
    while found.len() < wanted.len() && lines.read_line(&mut line).is_ok_and(|length| length > 0) {
        let mut fields = line.split_ascii_whitespace();
        if let (Some(address), Some(name)) = (fields.next(), fields.nth(1))
            && wanted.contains(name)
            && let Ok(address @ 1..) = u64::from_str_radix(address, 16)
        {
            found.entry(name.to_owned()).or_insert(address);
        }
        line.clear();
    }
    found
}

/// As `uname -r` says it.
pub(super) fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned())
}

/// `KERNEL_VERSION(a, b, c)` of the running kernel.
pub(super) fn version_code() -> u32 {
    let release = release();
    // Debian's kernels of an older kind had their real version elsewhere; those are too old for us.
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    next() << 16 | next() << 8 | next().min(255)
}

fn configuration() -> Option<HashMap<String, String>> {
    let text = configuration_text()?;
    let setting = |line: &str| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Some(text.lines().filter(|line| line.starts_with("CONFIG_")).filter_map(setting).collect())
}

fn configuration_text() -> Option<String> {
    if let Ok(file) = fs::File::open("/proc/config.gz") {
        let mut text = String::new();
        if GzDecoder::new(file).read_to_string(&mut text).is_ok() {
            return Some(text);
        }
    }
    fs::read_to_string(format!("/boot/config-{}", release())).ok()
}

fn encode(value: &str, shape: Shape) -> Option<Vec<u8>> {
    match (shape, value) {
        (Shape::Text { size }, value) => {
            let text = value.trim_matches('"').as_bytes();
            let mut bytes = text[..text.len().min(size.checked_sub(1)?)].to_vec();
            bytes.resize(size, 0);
            Some(bytes)
        }
        (Shape::Char, "y" | "m" | "n") => Some(value.as_bytes().to_vec()),
        (Shape::Bool, "y") | (Shape::Tristate, "y") => number(1, shape),
        (Shape::Tristate, "m") => number(2, shape),
        (Shape::Bool | Shape::Tristate, "n") => number(0, shape),
        (Shape::Number { .. }, value) => match value.strip_prefix("0x") {
            Some(digits) => number(u64::from_str_radix(digits, 16).ok()?, shape),
            None => number(value.parse::<i64>().ok()?.cast_unsigned(), shape),
        },
        _ => None,
    }
}

fn number(value: u64, shape: Shape) -> Option<Vec<u8>> {
    Some(value.to_le_bytes().get(..shape.size())?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_configuration_become_bytes() {
        assert_eq!(encode("y", Shape::Bool), Some(vec![1]));
        assert_eq!(encode("m", Shape::Tristate), Some(vec![2, 0, 0, 0]));
        assert_eq!(encode("m", Shape::Bool), None);
        assert_eq!(encode("m", Shape::Char), Some(vec![b'm']));
        assert_eq!(encode("250", Shape::Number { size: 4 }), Some(vec![250, 0, 0, 0]));
        assert_eq!(encode("0x10", Shape::Number { size: 2 }), Some(vec![16, 0]));
        assert_eq!(encode("-1", Shape::Number { size: 4 }), Some(vec![0xff; 4]));
        assert_eq!(encode("\"none\"", Shape::Text { size: 8 }), Some(b"none\0\0\0\0".to_vec()));
        assert_eq!(encode("\"none\"", Shape::Text { size: 3 }), Some(b"no\0".to_vec()));
        assert_eq!(encode("word", Shape::Number { size: 4 }), None);
    }

    #[test]
    fn the_running_kernel_has_a_version() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let major: u32 = release.split('.').next().unwrap().parse().unwrap();
        assert_eq!(version_code() >> 16, major);
    }
}
