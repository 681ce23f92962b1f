//! The cost of everything that is on by default together: how much longer work takes on the machine, and what the host itself needs, idle and
//! under load.
//!
//! Work is done by a process of its own, with and without the host in turns. Its CPU time counts, as the kernel accounts it to its cgroup: that has
//! the programs that ran in its context. It is on one CPU, so that no time is lost in an idle task, which is nobody's.
//!
//! Work is measured in short slices, of which the lower quartile counts: neighbours that fill the caches or take the CPU make most slices of a busy machine
//! slower than any program does, but not all of them. How memory is laid out also differs from process to process, by several percent: so each
//! measurement has several processes.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Cgroup, Ebhost, Folder, Start, committed, output};
use rustix::{
    process::setpriority_process,
    thread::{CpuSet, sched_setaffinity},
};

use crate::{
    cost::load,
    host::{cpu, memory},
    report::{line, text},
};

/// The first argument of the process that works: `work KIND COUNT`.
pub(crate) const ARGUMENT: &str = "work";

/// The kinds of work, and how much of each is a slice: a few milliseconds.
const WORK: [(&str, u32); 3] = [("processes", 6), ("switches", 4000), ("loopback", 600)];
const SLICES: usize = 12;
/// Processes for each kind of work in a measurement.
const PROCESSES: usize = 5;
const PAIRS: usize = 25;
const CPU: usize = 1;

/// Does work of a kind, and prints what each slice took: the CPU time of a unit of work, in nanoseconds. `FOLDER` is that of its cgroup.
pub(crate) fn work(arguments: &[String]) {
    let mut cpus = CpuSet::new();
    cpus.set(CPU);
    sched_setaffinity(None, &cpus).expect("the machine has two CPUs");
    // Before whatever else wants this CPU.
    setpriority_process(None, -20).expect("the benchmark runs as root");
    let [kind, rest @ ..] = arguments else { panic!("found no arguments, expected a kind of work") };
    match (kind.as_str(), rest) {
        ("echo", _) => echo(),
        ("serve", _) => serve(),
        ("processes", [folder]) => slices(folder, kind, |count| {
            (0..count).for_each(|_| _ = Command::new("/bin/true").status().expect("every machine has it"));
        }),
        ("switches", [folder]) => switches(folder),
        ("loopback", [folder]) => loopback(folder),
        _ => panic!("found {arguments:?}, expected one of {WORK:?} and the folder of a cgroup"),
    }
}

fn slices(folder: &str, kind: &str, mut slice: impl FnMut(u32)) {
    let (_, count) = WORK.into_iter().find(|(name, _)| *name == kind).expect("a kind of work");
    for _ in 0..SLICES {
        let before = used(Path::new(folder));
        slice(count);
        text(&format!("{}", (used(Path::new(folder)) - before) * 1e9 / f64::from(count)));
    }
}

/// This program as another process, whose standard input and output are pipes.
fn other_process(kind: &str) -> (Child, ChildStdin, ChildStdout) {
    let own = std::env::current_exe().expect("it runs");
    let mut command = Command::new(own);
    let mut child =
        command.args([ARGUMENT, kind]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let (to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    (child, to, from)
}

/// Two processes that wait for each other in turns, over pipes, as `perf bench sched pipe` has them.
fn switches(folder: &str) {
    let (mut other, mut to, mut from) = other_process("echo");
    slices(folder, "switches", |count| {
        for _ in 0..count / 2 {
            to.write_all(&[1]).and_then(|()| from.read_exact(&mut [0])).expect("the other process answers");
        }
    });
    drop(to);
    other.wait().expect("the other process ends");
}

/// The other process: answers each byte.
fn echo() {
    let (mut from, mut to) = (File::from(owned(std::io::stdin())), File::from(owned(std::io::stdout())));
    let mut byte = [0];
    while from.read_exact(&mut byte).is_ok() && to.write_all(&byte).is_ok() {}
}

/// A descriptor of its own, without the buffer of the standard one.
fn owned(standard: impl AsFd) -> OwnedFd {
    standard.as_fd().try_clone_to_owned().expect("it is open")
}

/// Connections to another process on loopback, each with ten requests of 100 bytes and as many answers.
fn loopback(folder: &str) {
    let (mut other, to, from) = other_process("serve");
    let port = BufReader::new(from).lines().next().expect("a line").expect("a text").parse().expect("a port");
    let connection = || {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        for _ in 0..10 {
            stream.write_all(&[1; 100]).and_then(|()| stream.read_exact(&mut [0; 100])).expect("the peer answers");
        }
    };
    slices(folder, "loopback", |count| (0..count / 10).for_each(|_| connection()));
    drop(to);
    other.wait().expect("the other process ends");
}

/// The other process: answers each request until its standard input ends.
fn serve() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    text(&listener.local_addr().expect("it is bound").port().to_string());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut data) = (stream.expect("a connection"), [0; 100]);
            while stream.read_exact(&mut data).is_ok() && stream.write_all(&data).is_ok() {}
        }
    });
    let _ = std::io::stdin().read(&mut [0]);
}

/// The CPU time of a unit of each kind of work, in nanoseconds.
fn measured(cgroup: &Cgroup) -> [f64; WORK.len()] {
    let own = std::env::current_exe().expect("it runs");
    WORK.map(|(kind, _)| {
        let of_process = |_| {
            let printed = output(cgroup.starter().arg(&own).args([ARGUMENT, kind]).arg(cgroup.folder()));
            let mut slices: Vec<f64> = printed.lines().map(|line| line.parse().expect("a number")).collect();
            slices.sort_by(f64::total_cmp);
            slices[slices.len() / 4]
        };
        (0..PROCESSES).map(of_process).sum::<f64>() / PROCESSES as f64
    })
}

/// The CPU time of a cgroup, in seconds.
fn used(cgroup: &Path) -> f64 {
    let stat = fs::read_to_string(cgroup.join("cpu.stat")).expect("every cgroup of version 2 has it");
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<f64>().ok());
    micros.expect("the kernel accounts it") / 1e6
}

/// The packages as they are installed, with the settings of the defaults and one more, such as `runqlat=on`.
fn folder(choice: Option<&str>) -> Folder {
    let folder = Folder::new();
    let entries = fs::read_dir(committed()).expect("the folder of the packages").flatten().map(|entry| entry.path());
    let packages = entries.filter(|package| package.join("plugin.yaml").is_file());
    packages.for_each(|package| _ = folder.copy(&package));
    let settings = choice.map_or_else(String::new, |choice| {
        let (package, state) = choice.split_once('=').expect("PACKAGE=on or PACKAGE=off");
        format!("plugins: {{ {package}: {state} }}\n")
    });
    folder.set(&settings);
    folder
}

fn host(folder: &Folder) -> Ebhost {
    let cache = folder.path().join("cache").display().to_string();
    Start::with(folder.path()).args(&["--cache.dir", &cache]).listening()
}

/// Measures everything that is on by default. `choice`: a package that is switched on or off besides, such as `runqlat=on`.
pub(crate) fn defaults(choice: Option<&str>) {
    let folder = folder(choice);
    text(
        "\n| work | without, ns | with, ns | overhead, median of pairs | middle half of the pairs |\n|---|--:|--:|--:|--:|",
    );
    slowdown(&folder);
    text("\n| | measured |\n|---|---|");
    itself(&folder);
}

fn slowdown(folder: &Folder) {
    let cgroup = Cgroup::new(&format!("ebhost-overhead-{}", std::process::id()));
    measured(&cgroup);
    let pairs: Vec<_> = (0..PAIRS).map(|pair| pair_of(&cgroup, folder, pair % 2 == 0)).collect();
    for (at, (kind, _)) in WORK.iter().enumerate() {
        let time = |times: Vec<f64>| format!("{:.0}", quartiles(times)[1]);
        let without = time(pairs.iter().map(|(without, _)| without[at]).collect());
        let with = time(pairs.iter().map(|(_, with)| with[at]).collect());
        row(kind, &without, &with, pairs.iter().map(|(without, with)| with[at] / without[at] - 1.0).collect());
    }
    // A third of the time each.
    let mean = |(without, with): &([f64; WORK.len()], [f64; WORK.len()])| {
        with.iter().zip(without).map(|(with, without)| with / without - 1.0).sum::<f64>() / WORK.len() as f64
    };
    row("all three, a third of the time each", "", "", pairs.iter().map(mean).collect());
}

fn row(name: &str, without: &str, with: &str, overheads: Vec<f64>) {
    let [low, middle, high] = quartiles(overheads).map(|ratio| ratio * 100.0);
    text(&format!("| {name} | {without} | {with} | **{middle:.1} %** | {low:.1} … {high:.1} % |"));
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[values.len() * quarter / 4])
}

/// The work without the host and with it; `is_first`: without it first.
fn pair_of(cgroup: &Cgroup, folder: &Folder, is_first: bool) -> ([f64; WORK.len()], [f64; WORK.len()]) {
    let with = || {
        let host = host(folder);
        host.scrape();
        let times = measured(cgroup);
        host.stop();
        times
    };
    if is_first {
        let without = measured(cgroup);
        (without, with())
    } else {
        let with = with();
        (measured(cgroup), with)
    }
}

/// Measures the host: memory, CPU time of a scrape, and CPU time while nobody scrapes.
fn itself(folder: &Folder) {
    let host = host(folder);
    let served = host.scrape();
    let up = served.samples().filter(|sample| sample.name == "ebhost_plugin_up" && sample.value == 1.0).count();
    line("packages that run", &up.to_string());
    line("series served", &served.samples().count().to_string());
    let scrapes = |name: &str| {
        let times: Vec<_> = (0..100)
            .map(|_| {
                let before = cpu(host.pid());
                host.get("/metrics", &[]);
                cpu(host.pid()) - before
            })
            .collect();
        let mut sorted = times;
        sorted.sort();
        line(name, &format!("best {} µs, median {} µs of CPU", sorted[0].as_micros(), sorted[50].as_micros()));
    };
    scrapes("a scrape, idle, 100 of them");
    line("RSS, idle", &format!("{:.1} MB", memory(host.pid()).0));
    let before = cpu(host.pid());
    thread::sleep(Duration::from_secs(30));
    line("CPU of the host while nobody scrapes, 30 s", &format!("{} µs", (cpu(host.pid()) - before).as_micros()));
    let end = Instant::now() + Duration::from_secs(15);
    load::together(&[load::disk, load::round_trips, load::processes], end, || {
        scrapes("a scrape under load (fio, TCP on loopback, fork and exec)");
        thread::sleep(end.saturating_duration_since(Instant::now()));
    });
    let (now, highest) = memory(host.pid());
    line("RSS after that", &format!("{now:.1} MB, highest {highest:.1} MB"));
    line("series served then", &host.scrape().samples().count().to_string());
    host.stop();
}
