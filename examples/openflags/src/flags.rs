//! The flags of open(2), with the numbers of each machine's `fcntl.h`.

/// A flag's name and its bits.
pub(crate) type Flag = (&'static str, u32);

/// The two low bits are the access mode, not flags.
const ACCESS: u32 = 0o3;

/// A machine, which decides the numbers of the flags.
#[derive(Clone, Copy, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Machine {
    /// The numbers of asm-generic, which x86, RISC-V and most other machines use.
    #[default]
    Generic,
    Aarch64,
}

/// The flags of a machine. A flag that includes another one comes before it.
pub(crate) fn of(machine: Machine) -> Vec<Flag> {
    let [directory, nofollow, direct, largefile] = match machine {
        Machine::Generic => [0o200000, 0o400000, 0o40000, 0o100000],
        Machine::Aarch64 => [0o40000, 0o100000, 0o200000, 0o400000],
    };
    vec![
        ("O_SYNC", 0o4010000),
        ("O_TMPFILE", 0o20000000 | directory),
        ("O_CREAT", 0o100),
        ("O_EXCL", 0o200),
        ("O_NOCTTY", 0o400),
        ("O_TRUNC", 0o1000),
        ("O_APPEND", 0o2000),
        ("O_NONBLOCK", 0o4000),
        ("O_DSYNC", 0o10000),
        ("O_ASYNC", 0o20000),
        ("O_DIRECT", direct),
        ("O_LARGEFILE", largefile),
        ("O_DIRECTORY", directory),
        ("O_NOFOLLOW", nofollow),
        ("O_NOATIME", 0o1000000),
        ("O_CLOEXEC", 0o2000000),
        ("O_PATH", 0o10000000),
    ]
}

/// The name of the access mode.
pub(crate) fn access(bits: u32) -> &'static str {
    ["read", "write", "read-write", "ioctl"][(bits & ACCESS) as usize]
}

/// The names of the flags in a set; all remaining bits together are `unknown`.
pub(crate) fn names(flags: &[Flag], bits: u32) -> impl Iterator<Item = &'static str> {
    let mut remaining = bits & !ACCESS;
    let mut names = Vec::new();
    for (name, bits) in flags {
        if remaining & bits == *bits {
            remaining &= !bits;
            names.push(*name);
        }
    }
    names.into_iter().chain((remaining != 0).then_some("unknown"))
}
