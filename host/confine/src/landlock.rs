//! Landlock: the files that the process can still open.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus, NetPort,
    RestrictionStatus, Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
    path_beneath_rules,
};
use rustix::thread::set_no_new_privs;
use tracing::{info, warn};

/// The newest Landlock ABI that is known here; an older kernel applies what it knows of it.
const RULES: ABI = ABI::V6;

/// Files of the kernel itself: /proc, /sys (with tracefs in it), and the one device that is read.
///
/// Not all of /dev: user 0 owns the disks there, and needs no capability to read a file that it owns.
const KERNEL: [&str; 3] = ["/proc", "/sys", "/dev/urandom"];

/// Folders in which distributions install programs and libraries.
pub const PROGRAMS: [&str; 7] = ["/usr", "/bin", "/sbin", "/lib", "/lib64", "/opt", "/etc/ld.so.cache"];

/// The files and folders that a process needs after its start. A rule is for a folder and everything below it.
#[derive(Debug, Default)]
pub struct AllowedFiles {
    /// Read; so is what the symbolic links directly inside a folder lead to now, because packages may be linked in from elsewhere.
    pub readable: Vec<PathBuf>,
    /// Read and written: the folder of compiled components, created here if it is absent.
    pub cache: Option<PathBuf>,
    /// Read and written: the folder of the flight recorder, created here if it is absent.
    pub recordings: Option<PathBuf>,
    /// Folders in which Unix sockets are created and removed.
    pub sockets: Vec<PathBuf>,
    /// Folders in which maps are pinned.
    pub pins: Vec<PathBuf>,
    /// TCP ports that the process may connect to.
    pub ports: Vec<u16>,
}

/// How far the kernel went along, to be logged once there is a log.
#[derive(Debug)]
#[must_use]
pub struct FileAccess(Result<RestrictionStatus, RulesetError>);

impl AllowedFiles {
    /// Denies every file but these (and those of the kernel) to this thread and all that it starts, and new privileges to the
    /// process. Call it before any thread is started.
    ///
    /// Landlock also scopes abstract Unix sockets and signals to this process, and denies TCP connections to ports but these.
    pub fn enforce(&self) -> FileAccess {
        // Cannot fail on a kernel that has BPF; Landlock asks for it too, and would report it.
        let _ = set_no_new_privs(true);
        for folder in self.written() {
            // A rule needs an existing folder. If it cannot be created, whoever writes to it reports that.
            let _ = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        }
        let mut readable: Vec<PathBuf> = KERNEL.iter().map(PathBuf::from).collect();
        readable.extend(kernel_configurations());
        for path in &self.readable {
            readable.extend(link_targets(path));
            readable.push(path.clone());
        }
        FileAccess(restrict(&readable, self))
    }

    /// The folders that are written to.
    fn written(&self) -> impl Iterator<Item = &PathBuf> {
        self.cache.iter().chain(&self.recordings)
    }
}

impl FileAccess {
    /// Logs whether other files are out of reach.
    pub fn announce(&self) {
        match &self.0 {
            Ok(status) if status.ruleset != RulesetStatus::NotEnforced => {
                info!(
                    "files are restricted by Landlock to the plugin folder, the cache, files that objects have probes in, and the \
                     kernel's own"
                );
            }
            Ok(status) => match unrestricted(status.landlock) {
                Unrestricted::Filtered => warn!(
                    "files are not restricted: a seccomp filter forbids Landlock to this process; expected a filter that allows \
                     landlock_create_ruleset, landlock_add_rule and landlock_restrict_self"
                ),
                Unrestricted::SwitchedOff => {
                    info!(
                        "files are not restricted: this kernel has Landlock, but it is switched off; boot with `lsm=landlock,…`"
                    );
                }
                Unrestricted::Absent => info!("files are not restricted: this kernel has no Landlock"),
            },
            Err(error) => warn!("files are not restricted: {error}"),
        }
    }
}

/// Why Landlock restricts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unrestricted {
    /// The kernel does not have it.
    Absent,
    /// It is not among the active security modules.
    SwitchedOff,
    /// The kernel has it, and a seccomp filter answers in its place.
    Filtered,
}

/// Why Landlock restricts nothing. A seccomp filter answers as a kernel without it does, so the kernel's list of functions is looked at.
fn unrestricted(found: LandlockStatus) -> Unrestricted {
    match found {
        LandlockStatus::NotEnabled => Unrestricted::SwitchedOff,
        _ if has_seccomp_filter() && has_landlock() => Unrestricted::Filtered,
        _ => Unrestricted::Absent,
    }
}

fn has_seccomp_filter() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() == "2"))
}

/// Whether the running kernel was built with Landlock. The names of its functions can be read without a privilege.
fn has_landlock() -> bool {
    let Ok(symbols) = File::open("/proc/kallsyms") else { return false };
    BufReader::new(symbols).lines().map_while(Result::ok).any(|line| line.contains(" landlock_"))
}

/// Denies every file to this thread and all that it starts.
pub(crate) fn deny_all() -> Result<(), RulesetError> {
    restrict(&[], &AllowedFiles::default()).map(drop)
}

/// Kernel build configurations (`/boot/config-*`), which objects ask for as externs.
fn kernel_configurations() -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir("/boot").into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("config-")))
}

/// Targets of the symbolic links in a folder.
fn link_targets(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links.filter_map(|link| fs::canonicalize(link.path()).ok()).collect()
}

/// Denies every file but `readable` and the others that are allowed.
fn restrict(readable: &[PathBuf], allowed: &AllowedFiles) -> Result<RestrictionStatus, RulesetError> {
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let ports = allowed.ports.iter().map(|port| Ok::<_, RulesetError>(NetPort::new(*port, AccessNet::ConnectTcp)));
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RULES))?
        .handle_access(AccessNet::ConnectTcp)?
        .scope(Scope::from_all(RULES))?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(allowed.written(), write))?
        .add_rules(path_beneath_rules(&allowed.sockets, AccessFs::MakeSock | AccessFs::RemoveFile))?
        .add_rules(path_beneath_rules(&allowed.pins, AccessFs::MakeReg))?
        .add_rules(ports)?;
    rules.restrict_self()
}

#[cfg(test)]
mod tests {
    use std::{
        io::ErrorKind,
        net::{Ipv4Addr, TcpListener, TcpStream},
        thread,
    };

    use super::*;

    /// A thread that pushes to a receiver could be talked into connecting to any other server of the network.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "Landlock may bind this thread, and no other of the tests")]
    fn only_the_ports_that_are_allowed_can_be_connected_to() {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (receiver, other) = (listen(), listen());
        let ports = [&receiver, &other].map(|listener| listener.local_addr().unwrap().port());
        let thread = thread::spawn(move || {
            let access = AllowedFiles { ports: vec![ports[0]], ..AllowedFiles::default() }.enforce();
            let knows_ports = access.0.is_ok_and(|status| {
                matches!(status.landlock, LandlockStatus::Available { effective_abi, .. } if effective_abi >= ABI::V4)
            });
            let connect =
                |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).map(drop).map_err(|error| error.kind());
            knows_ports.then(|| ports.map(connect))
        });
        match thread.join().unwrap() {
            Some(connected) => assert_eq!(connected, [Ok(()), Err(ErrorKind::PermissionDenied)]),
            None => eprintln!("skipped: the Landlock of this kernel knows no ports"),
        }
    }
}
