//! Values for an object's externs from the running kernel: configuration values, addresses of symbols, type ids of functions.
//!
//! The configuration is read from `/proc/config.gz` or `/boot/config-RELEASE`; addresses from `/proc/kallsyms`, which shows them to
//! threads with CAP_SYSLOG.

use std::{
    collections::{HashMap, HashSet},
    fs,
    io::{BufRead as _, BufReader, Read as _},
    sync::LazyLock,
};

use flate2::read::GzDecoder;

use crate::types::{KernelBtf, ModuleFds};
use ebhost_object::{ConfigValue, ExternKind, ExternState, Object, btf::Kind, core::essential};

/// A symbol of a module whose types this thread may not open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeniedSymbol {
    pub(crate) symbol: String,
    pub(crate) module: String,
}

/// Resolves the externs of an object. Symbols that this kernel does not have stay unresolved, which costs the programs that refer to them, unless
/// they are weak. Returns the symbols that are there and whose module's types cannot be opened.
///
/// # Errors
/// The configuration values that programs need and that are not known here.
pub(crate) fn resolve(
    object: &mut Object,
    types: Option<&KernelBtf>,
    modules: &mut ModuleFds,
) -> Result<Vec<DeniedSymbol>, Vec<String>> {
    let mut configuration = Configuration::default();
    let (mut unknown, mut denied) = (Vec::new(), Vec::new());
    let is_address = |kind| matches!(kind, ExternKind::Address);
    let names: Vec<_> = object.externs.iter().filter(|one| is_address(one.kind)).map(|one| one.name.clone()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let addresses = if names.is_empty() { HashMap::new() } else { addresses(&names) };
    for index in 0..object.externs.len() {
        let (name, is_weak, kind) = {
            let one = &object.externs[index];
            (one.name.clone(), one.is_weak, one.kind)
        };
        let state = match kind {
            ExternKind::Config { value, .. } => {
                match configuration.value(&name, value) {
                    Some(bytes) => _ = object.set_config(index, &bytes),
                    None if is_weak => {}
                    None => unknown.push(name),
                }
                continue;
            }
            ExternKind::Address => addresses.get(&name).map(|address| ExternState::Address(*address)),
            ExternKind::TypedVariable | ExternKind::Function => {
                let kind = if kind == ExternKind::Function { Kind::Func } else { Kind::Var };
                typed(object, index, types, modules, kind).unwrap_or_else(|module| {
                    denied.push(DeniedSymbol { symbol: name, module });
                    None
                })
            }
        };
        if let Some(state) = state {
            object.externs[index].state = state;
        }
    }
    if unknown.is_empty() { Ok(denied) } else { Err(unknown) }
}

/// The function or variable of the kernel or of a module that an extern is, if its declaration fits.
///
/// # Errors
/// The module whose types cannot be opened.
fn typed(
    object: &Object,
    index: usize,
    types: Option<&KernelBtf>,
    modules: &mut ModuleFds,
    kind: Kind,
) -> Result<Option<ExternState>, String> {
    let name = &object.externs[index].name;
    // Declarations of one function that differ by kernel have names such as `name___new`.
    let found = types.and_then(|types| types.find(name, kind).or_else(|| types.find(essential(name), kind)));
    let Some(found) = found.filter(|found| object.extern_fits(index, &found.types, found.id)) else { return Ok(None) };
    let module = match found.module {
        Some(module) => Some(modules.open(&module).ok_or(module)?),
        None => None,
    };
    Ok(Some(ExternState::TypeId { id: found.id, module }))
}

/// The running kernel's configuration, read when it is first needed.
#[derive(Debug, Default)]
struct Configuration(Option<Option<HashMap<String, String>>>);

impl Configuration {
    /// The bytes of a value; `None`: it is not known here.
    fn value(&mut self, name: &str, form: ConfigValue) -> Option<Vec<u8>> {
        match name {
            "LINUX_KERNEL_VERSION" => number(u64::from(version_code()), form),
            "LINUX_HAS_BPF_COOKIE" => number(u64::from(aya::features().bpf_cookie()), form),
            "LINUX_HAS_SYSCALL_WRAPPER" => {
                let name = format!("__{}_sys_bpf", syscall_prefix());
                number(u64::from(!addresses(&[&name]).is_empty()), form)
            }
            name => encode(self.0.get_or_insert_with(configuration).as_ref()?.get(name)?, form),
        }
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
///
/// Distributions hide the patch level in their releases: Ubuntu has it in `/proc/version_signature`, Debian in `uname -v`.
pub(crate) fn version_code() -> u32 {
    /// The running kernel stays the same, and every program that is loaded asks.
    static CODE: LazyLock<u32> = LazyLock::new(read_version_code);
    *CODE
}

fn read_version_code() -> u32 {
    let text = |file| fs::read_to_string(file).unwrap_or_default();
    let version = text("/proc/version_signature").split_whitespace().last().map(str::to_owned);
    let debian = || {
        let version = text("/proc/sys/kernel/version");
        version.split_once("Debian ").map(|(_, rest)| rest.to_owned())
    };
    version_number(&version.or_else(debian).unwrap_or_else(release))
}

/// The number of a version such as `6.1.76-1`: parts that are not there are 0, a patch level above 255 is 255.
fn version_number(version: &str) -> u32 {
    let numbers = version.split(['-', '+', ' ', '~', '(']).next().unwrap_or_default();
    let mut numbers = numbers.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    next() << 16 | next() << 8 | next().min(255)
}

/// Whether the kernel was built with an option; `None`: its configuration is not known here.
pub(crate) fn is_configured(option: &str) -> Option<bool> {
    Some(configuration()?.get(option).is_some_and(|value| value == "y"))
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

fn encode(value: &str, form: ConfigValue) -> Option<Vec<u8>> {
    match (form, value) {
        (ConfigValue::Text { size }, value) => {
            let size = size as usize;
            let text = value.trim_matches('"').as_bytes();
            let mut bytes = text[..text.len().min(size.checked_sub(1)?)].to_vec();
            bytes.resize(size, 0);
            Some(bytes)
        }
        (ConfigValue::Char, "y" | "m" | "n") => Some(value.as_bytes().to_vec()),
        (ConfigValue::Bool, "y") | (ConfigValue::Tristate, "y") => number(1, form),
        (ConfigValue::Tristate, "m") => number(2, form),
        (ConfigValue::Bool | ConfigValue::Tristate, "n") => number(0, form),
        (ConfigValue::Int { .. }, value) => match value.strip_prefix("0x") {
            Some(digits) => number(u64::from_str_radix(digits, 16).ok()?, form),
            None => number(value.parse::<i64>().ok()?.cast_unsigned(), form),
        },
        _ => None,
    }
}

fn number(value: u64, form: ConfigValue) -> Option<Vec<u8>> {
    Some(value.to_le_bytes().get(..form.size() as usize)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_values_become_bytes() {
        assert_eq!(encode("y", ConfigValue::Bool), Some(vec![1]));
        assert_eq!(encode("m", ConfigValue::Tristate), Some(vec![2, 0, 0, 0]));
        assert_eq!(encode("m", ConfigValue::Bool), None);
        assert_eq!(encode("m", ConfigValue::Char), Some(vec![b'm']));
        assert_eq!(encode("250", ConfigValue::Int { size: 4, is_signed: false }), Some(vec![250, 0, 0, 0]));
        assert_eq!(encode("0x10", ConfigValue::Int { size: 2, is_signed: false }), Some(vec![16, 0]));
        assert_eq!(encode("-1", ConfigValue::Int { size: 4, is_signed: false }), Some(vec![0xff; 4]));
        assert_eq!(encode("\"none\"", ConfigValue::Text { size: 8 }), Some(b"none\0\0\0\0".to_vec()));
        assert_eq!(encode("\"none\"", ConfigValue::Text { size: 3 }), Some(b"no\0".to_vec()));
        assert_eq!(encode("word", ConfigValue::Int { size: 4, is_signed: false }), None);
    }

    #[test]
    fn a_patch_level_is_read_where_a_distribution_hides_it() {
        assert_eq!(version_number("6.1.76-1 (2024-02-01)"), 6 << 16 | 1 << 8 | 76);
        assert_eq!(version_number("5.15.131"), 5 << 16 | 15 << 8 | 131);
        assert_eq!(version_number("6.12-cloud"), 6 << 16 | 12 << 8);
        assert_eq!(version_number("4.19.300"), 4 << 16 | 19 << 8 | 255);
    }

    #[test]
    fn the_running_kernel_has_a_version() {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let major: u32 = release.split('.').next().unwrap().parse().unwrap();
        assert_eq!(version_code() >> 16, major);
    }
}
