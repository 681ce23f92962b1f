//! The package with a BPF program of every type, what does the things that they count, and what they counted.

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

/// Programs that no kernel takes, and in one word why.
pub const HOPELESS: [(&str, &str); 5] = [
    ("in_an_unknown_section", "section"),
    ("on_no_interface", "no_target"),
    ("on_no_tracepoint", "attach"),
    ("reads_anywhere", "verifier"),
    ("reads_no_field", "kernel_lacks"),
];

/// What programs know the doer by, and where it sends datagrams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    /// A command name of 8 bytes.
    pub name: String,
    pub port: u16,
}

impl Marks {
    /// Of this process alone, so that other tests' doers are not counted.
    pub fn own() -> Self {
        let number = std::process::id() % 20_000;
        Self { name: format!("do{number:06}"), port: 20_000 + number as u16 }
    }
}

/// The program that does what is counted.
pub fn doer() -> PathBuf {
    built("ebhostdo")
}

fn source() -> String {
    fs::read_to_string(workspace().join("tests/programs/everything.bpf.c")).expect("it lies beside the tests")
}

/// Compiles the object, which knows the doer, and where that will be when the host attaches to it.
pub fn write_object(object: &Path, doer: &Path, marks: &Marks) {
    let name = u64::from_le_bytes(marks.name.as_bytes().try_into().expect("a name of 8 bytes"));
    let source = source()
        .replace("/DOER:", &format!("/{}:", doer.display()))
        .replace("targ_name = 0", &format!("targ_name = {name}ull"))
        .replace("targ_port = 0", &format!("targ_port = {}", marks.port));
    compile(&source, "bpf", object);
}

/// Writes the package into `folder`. `doer`: where the doer will be when the host attaches to it.
pub fn write_package(folder: &Path, doer: &Path, marks: &Marks) {
    fs::create_dir_all(folder).expect("a folder in our own");
    // What it knows it by is set by the package here.
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

/// What the programs counted, by the names of their slots.
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

    /// Panics, naming all that differ, unless each slot has its count.
    pub fn assert(&self, expected: &[(&str, u64)]) {
        let differ = |(name, count): &(&str, u64)| {
            let found = self.get(name);
            (found != *count).then(|| format!("{name}: counted {found}, expected {count}"))
        };
        let wrong: Vec<_> = expected.iter().filter_map(differ).collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}

/// Why each program of the package is left out; those that are attached are not among them.
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

/// What `ebhostdo COUNT` makes the programs of every kernel count; a count that 4 divides.
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
        // One socket a connection, and two for datagrams.
        ("CGROUP_SOCKET", count + 2),
        ("USDT_FIRST", count * (count - 1) / 2),
        ("USDT_SECOND", 2 * count),
        ("USDT_CONSTANT", 7 * count),
        ("USDT_INDEXED", count / 4 * 43_210),
        ("USDT_INDEXED_SIGNED", count / 4 * 4_321),
        // At two functions; and of one the numbers that it returned.
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

/// A doer that has done all, and waits to be dropped.
#[derive(Debug)]
pub struct Doer {
    child: Child,
    input: Option<ChildStdin>,
    /// What its USDT probe's counter was when it began.
    pub semaphore: u16,
    /// Of its test runs of a program, those that were refused because a program on a tracepoint wrote so.
    pub refused: u64,
}

impl Doer {
    /// Has it done all of it.
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
