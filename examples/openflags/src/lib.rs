//! Opened files, by command, access and flags: names for the sets of bits that `openflags.bpf.c` counts.
//!
//! Not every flag is a single bit: `O_SYNC` includes the bit of `O_DSYNC`, and `O_TMPFILE` that of `O_DIRECTORY`. So flags with several
//! bits are matched first. All unknown bits together are one name, because a caller may set any of them.

mod flags;

use ebhost_plugin::{Answer, Family, Manifest, LookupNames, Plugin, View, key, layout, member, number, row, text};

use flags::Machine;

layout! {
    /// `struct key` in openflags.bpf.c.
    struct Key: 20 bytes {
        flags: u32,
        comm: [u8; 16],
    }
}

/// `config` in plugin.yaml.
#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The machine whose numbers the flags have.
    machine: Machine,
    /// Flags that are left out of the label.
    hide: Vec<String>,
}

/// The plugin.
pub struct Openflags {
    flags: Vec<flags::Flag>,
    hide: Vec<String>,
}

ebhost_plugin::export!(Openflags);

impl Plugin for Openflags {
    type Config = Config;

    fn new(config: Config) -> Result<Self, String> {
        let flags = flags::of(config.machine);
        if let Some(unknown) = config.hide.iter().find(|name| flags.iter().all(|(flag, _)| flag != name)) {
            let known: Vec<_> = flags.iter().map(|(name, _)| *name).collect();
            return Err(format!("config: `hide` has `{unknown}`, expected some of {}", known.join(", ")));
        }
        Ok(Self { flags, hide: config.hide })
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let opens = manifest.family(
            Family::counter("file_opens_total")
                .help("Calls of openat(2), those that failed included, by command, access and flags.")
                .labels(["command", "access", "flags"]),
        );
        let lost =
            manifest.family(Family::counter("file_opens_lost_total").help("Calls that the map had no room for."));
        manifest.view(
            View::table::<Key, u64>("opens").identity(key()).feed(opens, number(member!(u64))).rows(Self::open),
        );
        manifest.view(View::table::<u32, u64>("lost").feed(lost, number(member!(u64))).rows(Self::lost));
        manifest
    }
}

impl Openflags {
    fn open<'a>(&'a self, key: &'a Key, _: LookupNames<'a, 0>) -> Answer<'a, 3> {
        let command = text::c_string(&key.comm);
        row![command, flags::access(key.flags), self.names(key.flags)]
    }

    fn names(&self, bits: u32) -> String {
        let names = flags::names(&self.flags, bits).filter(|name| !self.hide.iter().any(|hidden| hidden == name));
        let names: Vec<_> = names.collect();
        if names.is_empty() { "none".to_owned() } else { names.join("|") }
    }

    fn lost<'a>(&'a self, _: &'a (), _: LookupNames<'a, 0>) -> Answer<'a, 0> {
        row![]
    }
}

#[cfg(test)]
mod tests {
    use ebhost_plugin::testing::{Harness, Row};

    use super::*;

    fn open(config: &str, flags: u32) -> Row {
        let plugin = Harness::<Openflags>::new(config).expect("a good configuration");
        let mut identity = flags.to_le_bytes().to_vec();
        identity.extend_from_slice(b"sqlite3\0\0\0\0\0\0\0\0\0");
        plugin.decode(plugin.view("opens"), &[(&identity, &[])]).remove(0)
    }

    fn labels(access: &str, flags: &str) -> Row {
        Ok((["sqlite3", access, flags].map(str::to_owned).to_vec(), None))
    }

    #[test]
    fn a_set_is_named_flag_by_flag() {
        assert_eq!(open("{}", 0), labels("read", "none"));
        assert_eq!(open("{}", 0o1101), labels("write", "O_CREAT|O_TRUNC"));
        assert_eq!(open("{}", 0o2000000), labels("read", "O_CLOEXEC"));
        assert_eq!(open("{}", 0o42002), labels("read-write", "O_APPEND|O_DIRECT"));
    }

    #[test]
    fn a_flag_of_several_bits_is_not_named_by_its_parts() {
        assert_eq!(open("{}", 0o10001), labels("write", "O_DSYNC"));
        assert_eq!(open("{}", 0o4010001), labels("write", "O_SYNC"));
        assert_eq!(open("{}", 0o200000), labels("read", "O_DIRECTORY"));
        assert_eq!(open("{}", 0o20200002), labels("read-write", "O_TMPFILE"));
    }

    #[test]
    fn bits_without_a_name_are_one_name() {
        assert_eq!(open("{}", 0x8000_0000), labels("read", "unknown"));
        assert_eq!(open("{}", 0xc000_0040), labels("read", "O_CREAT|unknown"));
    }

    #[test]
    fn hidden_flags_fold_their_sets() {
        let config = r#"{"hide": ["O_CLOEXEC", "O_LARGEFILE"]}"#;
        assert_eq!(open(config, 0o2100000), labels("read", "none"));
        let refusal = Harness::<Openflags>::new(r#"{"hide": ["O_CLOEXE"]}"#).err().expect("a refusal");
        assert!(refusal.starts_with("config: `hide` has `O_CLOEXE`, expected some of O_SYNC, O_TMPFILE"), "{refusal}");
    }

    #[test]
    fn arm_has_four_numbers_of_its_own() {
        assert_eq!(open(r#"{"machine": "aarch64"}"#, 0o200000), labels("read", "O_DIRECT"));
        assert_eq!(open(r#"{"machine": "aarch64"}"#, 0o20040002), labels("read-write", "O_TMPFILE"));
    }
}
