//! Values for an object's externs from the running kernel: configuration values, addresses of symbols, type ids of functions.
//!
//! The configuration is read from `/proc/config.gz` or `/boot/config-RELEASE`; addresses from `/proc/kallsyms`, which shows them to
//! threads with CAP_SYSLOG.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead as _, BufReader, Read as _},
};

use aya_obj::btf::{Btf, BtfKind};
use flate2::read::GzDecoder;

use crate::object::ExternType;

/// The running kernel as the source of externs. Its configuration is read when it is first needed.
#[derive(Debug)]
pub(crate) struct Externs<'a> {
    types: Option<&'a Btf>,
    configuration: Option<Option<HashMap<String, String>>>,
}

impl<'a> Externs<'a> {
    pub(crate) fn new(types: Option<&'a Btf>) -> Self {
        Self { types, configuration: None }
    }

    /// The bytes of a configuration value; `None`: it is not known here.
    pub(crate) fn configured(&mut self, name: &str, extern_type: ExternType) -> Option<Vec<u8>> {
        match name {
            "LINUX_KERNEL_VERSION" => number(u64::from(version_code()), extern_type),
            "LINUX_HAS_BPF_COOKIE" => number(u64::from(aya::features().bpf_cookie()), extern_type),
            "LINUX_HAS_SYSCALL_WRAPPER" => {
                let name = format!("__{}_sys_bpf", syscall_prefix());
                number(u64::from(!addresses(&[&name]).is_empty()), extern_type)
            }
            name => {
                let configuration = self.configuration.get_or_insert_with(configuration).as_ref()?;
                encode(configuration.get(name)?, extern_type)
            }
        }
    }

    /// The BTF type id of a kernel variable or function.
    pub(crate) fn type_id(&self, name: &str, kind: BtfKind) -> Option<u32> {
        self.types?.id_by_type_name_kind(name, kind).ok()
    }
}

/// The architecture's prefix of system call functions, without underscores.
pub(crate) fn syscall_prefix() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        "s390x" => "s390x",
        "riscv64" => "riscv",
        other => other,
    }
}

/// Addresses of kernel symbols; absent symbols, and those whose addresses are hidden, are left out.
pub(crate) fn addresses(names: &[&str]) -> HashMap<String, u64> {
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

/// The kernel's release, as `uname -r` prints it.
pub(crate) fn release() -> String {
    fs::read_to_string("/proc/sys/kernel/osrelease").map_or_else(|_| "?".to_owned(), |text| text.trim().to_owned())
}

/// `KERNEL_VERSION(a, b, c)` of the running kernel.
pub(crate) fn version_code() -> u32 {
    let release = release();
    // Debian's and Ubuntu's releases hide the patch level (`uname -v` has it): it is 0 for them.
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

fn encode(value: &str, extern_type: ExternType) -> Option<Vec<u8>> {
    match (extern_type, value) {
        (ExternType::Text { size }, value) => {
            let text = value.trim_matches('"').as_bytes();
            let mut bytes = text[..text.len().min(size.checked_sub(1)?)].to_vec();
            bytes.resize(size, 0);
            Some(bytes)
        }
        (ExternType::Char, "y" | "m" | "n") => Some(value.as_bytes().to_vec()),
        (ExternType::Bool, "y") | (ExternType::Tristate, "y") => number(1, extern_type),
        (ExternType::Tristate, "m") => number(2, extern_type),
        (ExternType::Bool | ExternType::Tristate, "n") => number(0, extern_type),
        (ExternType::Number { .. }, value) => match value.strip_prefix("0x") {
            Some(digits) => number(u64::from_str_radix(digits, 16).ok()?, extern_type),
            None => number(value.parse::<i64>().ok()?.cast_unsigned(), extern_type),
        },
        _ => None,
    }
}

fn number(value: u64, extern_type: ExternType) -> Option<Vec<u8>> {
    Some(value.to_le_bytes().get(..extern_type.size())?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_values_become_bytes() {
        assert_eq!(encode("y", ExternType::Bool), Some(vec![1]));
        assert_eq!(encode("m", ExternType::Tristate), Some(vec![2, 0, 0, 0]));
        assert_eq!(encode("m", ExternType::Bool), None);
        assert_eq!(encode("m", ExternType::Char), Some(vec![b'm']));
        assert_eq!(encode("250", ExternType::Number { size: 4 }), Some(vec![250, 0, 0, 0]));
        assert_eq!(encode("0x10", ExternType::Number { size: 2 }), Some(vec![16, 0]));
        assert_eq!(encode("-1", ExternType::Number { size: 4 }), Some(vec![0xff; 4]));
        assert_eq!(encode("\"none\"", ExternType::Text { size: 8 }), Some(b"none\0\0\0\0".to_vec()));
        assert_eq!(encode("\"none\"", ExternType::Text { size: 3 }), Some(b"no\0".to_vec()));
        assert_eq!(encode("word", ExternType::Number { size: 4 }), None);
    }

    #[test]
    fn the_running_kernel_has_a_version() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let major: u32 = release.split('.').next().unwrap().parse().unwrap();
        assert_eq!(version_code() >> 16, major);
    }
}
