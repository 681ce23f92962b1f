//! A package with BPF programs of every type, the process that triggers them, and the counts that they must have.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
};

use crate::{
    exposition::Exposition,
    folder::{built, workspace},
    objects::compile,
    sys::die_with_us,
};

/// Programs that no kernel accepts, each with a keyword of the reason.
pub const HOPELESS: [(&str, &str); 5] = [
    ("in_an_unknown_section", "section"),
    ("on_no_interface", "no_target"),
    ("on_no_tracepoint", "attach"),
    ("reads_anywhere", "verifier"),
    ("reads_no_field", "kernel_lacks"),
];

/// How the programs recognize the process that triggers them: by its command name, and by the port to which it sends
/// datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// A command name of exactly 8 bytes.
    pub name: String,
    pub port: u16,
}

impl Marks {
    /// Marks of this test process, so that the processes of other tests are not counted.
    pub fn own() -> Self {
        let number = std::process::id() % 20_000;
        Self { name: format!("do{number:06}"), port: 20_000 + number as u16 }
    }
}

/// The path of the program that triggers the BPF programs.
pub fn doer() -> PathBuf {
    built("ebhostdo")
}

fn source() -> String {
    fs::read_to_string(workspace().join("tests/programs/everything.bpf.c")).expect("it lies beside the tests")
}

/// Compiles the object. `doer` is the path of the triggering program when the host attaches to it.
pub fn write_object(object: &Path, doer: &Path, marks: &Marks) {
    let name = u64::from_le_bytes(marks.name.as_bytes().try_into().expect("a name of 8 bytes"));
    let source = source()
        .replace("/DOER:", &format!("/{}:", doer.display()))
        .replace("targ_name = 0", &format!("targ_name = {name}ull"))
        .replace("targ_port = 0", &format!("targ_port = {}", marks.port));
    compile(&source, "bpf", object);
}

/// Writes the package into `folder`. `doer` is the path of the triggering program when the host attaches to it.
pub fn write_package(folder: &Path, doer: &Path, marks: &Marks) {
    fs::create_dir_all(folder).expect("a folder in our own");
    // In a package, plugin.yaml sets the globals by which the programs recognize the process.
    write_object(&folder.join("everything.bpf.o"), doer, &Marks { name: "\0\0\0\0\0\0\0\0".to_owned(), port: 0 });
    let component = workspace().join("bench/packages/maps/maps.wasm");
    fs::copy(&component, folder.join("maps.wasm")).unwrap_or_else(|error| panic!("{}: {error}", component.display()));
    let name = u64::from_le_bytes(marks.name.as_bytes().try_into().expect("a name of 8 bytes"));
    let package = format!(
        "name: everything\ncomponent: maps.wasm\nbpf:\n  object: everything.bpf.o\n  failure_costs: program\n  \
         kaddrs: [schedule]\n  globals: {{ targ_name: {name}, targ_port: {} }}\n\
         config: {{ read: [array, per_cpu_array, mapped_array, hash, lru, per_cpu_hash] }}\n",
        marks.port
    );
    fs::write(folder.join("plugin.yaml"), package).expect("a file in our own folder");
}

/// The counts of the programs, by the names of their slots.
#[derive(Debug)]
pub struct Slots<'a>(&'a Exposition, Vec<String>);

impl<'a> Slots<'a> {
    pub fn of(served: &'a Exposition) -> Self {
        let source = source();
        let list =
            source.split_once("enum slot {").and_then(|(_, rest)| rest.split_once("SLOTS")).expect("the slots").0;
        Self(served, list.split(',').map(|name| name.trim().to_owned()).collect())
    }

    pub fn get(&self, name: &str) -> u64 {
        let slot = self.1.iter().position(|slot| slot == name).unwrap_or_else(|| panic!("no slot {name}"));
        let value = self.0.value("ebhost_array_calls_total", &[("slot", &slot.to_string())]);
        value.unwrap_or_else(|| panic!("slot {name} is not served")) as u64
    }

    /// Panics, naming all slots that differ, unless each slot has its expected count.
    pub fn assert(&self, expected: &[(&str, u64)]) {
        let differ = |(name, count): &(&str, u64)| {
            let found = self.get(name);
            (found != *count).then(|| format!("{name}: counted {found}, expected {count}"))
        };
        let wrong: Vec<_> = expected.iter().filter_map(differ).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// The programs that are not attached, each with the reason.
pub fn left_out(served: &Exposition) -> Vec<(String, String)> {
    let family = served.families.get("ebhost_program_attached").expect("programs are reported");
    let mut out: Vec<_> = family
        .samples
        .iter()
        .filter(|sample| sample.labels.get("plugin").map(String::as_str) == Some("everything") && sample.value == 0.0)
        .map(|sample| (sample.labels["program"].clone(), sample.labels["reason"].clone()))
        .collect();
    out.sort();
    out
}

/// The counts that `ebhostdo COUNT` causes on every kernel. COUNT must be a multiple of 4.
pub fn expected_everywhere(count: u64) -> Vec<(&'static str, u64)> {
    let each = [
        "TRACEPOINT",
        "RAW_TRACEPOINT",
        "TYPED_TRACEPOINT",
        "UPROBE",
        "UPROBE_INSIDE",
        "URETPROBE",
        "USDT",
        "XDP",
        "CGROUP_INGRESS",
        "CGROUP_EGRESS",
        "CGROUP_CONNECT",
        "WRITABLE",
    ];
    let others = [
        // One socket for each connection, and two for datagrams.
        ("CGROUP_SOCKET", count + 2),
        ("USDT_FIRST", count * (count - 1) / 2),
        ("USDT_SECOND", 2 * count),
        ("USDT_CONSTANT", 7 * count),
        ("USDT_INDEXED", count / 4 * 43_210),
        ("USDT_INDEXED_SIGNED", count / 4 * 4_321),
        // Two functions are traced; for one of them the returned numbers are added up.
        ("UPROBES", 2 * count),
        ("URETPROBES", count * (count - 1) / 2 + 1000 * count),
        ("MARK", 1),
        ("HAS_BPF", 1),
        ("NOT_CONFIGURED", 1),
        ("CONFIG_TEXT", u64::from(b'(')),
        ("WEAK_SYMBOL", 1),
    ];
    each.into_iter().map(|name| (name, count)).chain(others).collect()
}

/// A triggering process that has done everything and waits to be dropped.
#[derive(Debug)]
pub struct Doer {
    child: Child,
    input: Option<ChildStdin>,
    /// The semaphore of its USDT probe when it began.
    pub semaphore: u16,
    /// The number of its test runs of a program that failed because a program on a tracepoint overrode the result.
    pub refused: u64,
}

impl Doer {
    /// Starts the process and waits until it has done everything.
    pub fn run(count: u64, marks: &Marks) -> Self {
        let mut command = Command::new(doer());
        command.args([count.to_string(), marks.name.clone(), marks.port.to_string()]);
        let mut child = die_with_us(&mut command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
        let mut lines = BufReader::new(output).lines().map(|line| line.expect("it prints text"));
        let mut number = |name: &str| -> u64 {
            let line = lines.next().unwrap_or_default();
            let number = line.strip_prefix(name).and_then(|number| number.trim().parse().ok());
            number.unwrap_or_else(|| panic!("found `{line}`, expected {name} and a number"))
        };
        let (semaphore, refused) = (number("semaphore") as u16, number("refused"));
        assert_eq!(lines.next().as_deref(), Some("done"));
        Self { child, input, semaphore, refused }
    }
}

impl Drop for Doer {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.wait();
    }
}
