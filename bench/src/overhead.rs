//! The cost of everything that is on by default together: how much longer work takes on the machine, and what the host itself needs, idle and
//! under load.
//!
//! Work is done by a process of its own, with and without the host in turns. Its CPU time counts, as the kernel accounts it to its cgroup: that has
//! the programs that ran in its context. It is on one CPU, so that no time is lost in an idle task, which is nobody's.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::fd::{AsFd, OwnedFd},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Cgroup, Ebhost, Folder, Start, committed, output};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::{
    cost::load,
    host::{cpu, memory},
    report::{line, text},
};

/// The first argument of the process that works: `work KIND COUNT`.
pub(crate) const ARGUMENT: &str = "work";

/// The kinds of work, and how much of each: about as long each, a fifth of a second.
const WORK: [(&str, u32); 3] = [("processes", 200), ("switches", 60_000), ("loopback", 12_000)];
const PAIRS: usize = 25;
const CPU: usize = 1;

/// Does work of a kind.
pub(crate) fn work(arguments: &[String]) {
    let mut cpus = CpuSet::new();
    cpus.set(CPU);
    sched_setaffinity(None, &cpus).expect("the machine has two CPUs");
    let [kind, count] = arguments else { panic!("found {arguments:?}, expected a kind of work and a count") };
    let count: u32 = count.parse().expect("a count");
    match kind.as_str() {
        "processes" => (0..count).for_each(|_| _ = Command::new("/bin/true").status().expect("every machine has it")),
        "switches" => switches(count),
        "loopback" => loopback(count),
        "echo" => echo(),
        "serve" => serve(),
        other => panic!("found the kind `{other}`, expected one of {WORK:?}"),
    }
}

/// This program as another process, whose standard input and output are pipes.
fn other_process(kind: &str) -> (Child, ChildStdin, ChildStdout) {
    let own = std::env::current_exe().expect("it runs");
    let mut command = Command::new(own);
    let mut child =
        command.args([ARGUMENT, kind, "0"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it runs");
    let (to, from) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    (child, to, from)
}

/// Two processes that wait for each other in turns, over pipes, as `perf bench sched pipe` has them.
fn switches(count: u32) {
    let (mut other, mut to, mut from) = other_process("echo");
    for _ in 0..count / 2 {
        to.write_all(&[1]).and_then(|()| from.read_exact(&mut [0])).expect("the other process answers");
    }
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
fn loopback(count: u32) {
    let (mut other, to, from) = other_process("serve");
    let port = BufReader::new(from).lines().next().expect("a line").expect("a text").parse().expect("a port");
    for _ in 0..count / 10 {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        for _ in 0..10 {
            stream.write_all(&[1; 100]).and_then(|()| stream.read_exact(&mut [0; 100])).expect("the peer answers");
        }
    }
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

/// The CPU time of each kind of work, in seconds.
fn measured(cgroup: &Cgroup) -> [f64; WORK.len()] {
    let own = std::env::current_exe().expect("it runs");
    WORK.map(|(kind, count)| {
        let before = used(cgroup);
        output(cgroup.starter().arg(&own).args([ARGUMENT, kind, &count.to_string()]));
        used(cgroup) - before
    })
}

/// The CPU time of a cgroup, in seconds.
fn used(cgroup: &Cgroup) -> f64 {
    let stat = fs::read_to_string(cgroup.folder().join("cpu.stat")).expect("every cgroup of version 2 has it");
    let micros = stat.lines().find_map(|line| line.strip_prefix("usage_usec ")?.parse::<f64>().ok());
    micros.expect("the kernel accounts it") / 1e6
}

/// The packages as they are installed, with the settings of the defaults.
fn folder(without: Option<&str>) -> Folder {
    let folder = Folder::new();
    let entries = fs::read_dir(committed()).expect("the folder of the packages").flatten().map(|entry| entry.path());
    let packages = entries.filter(|package| package.join("plugin.yaml").is_file());
    packages.for_each(|package| _ = folder.copy(&package));
    let settings = without.map_or_else(String::new, |package| format!("plugins: {{ {package}: off }}\n"));
    folder.set(&settings);
    folder
}

fn host(folder: &Folder) -> Ebhost {
    let cache = folder.path().join("cache").display().to_string();
    Start::with(folder.path()).args(&["--cache.dir", &cache]).listening()
}

/// Measures everything that is on by default. `without`: the name of a package that is switched off.
pub(crate) fn defaults(without: Option<&str>) {
    let folder = folder(without);
    text(
        "\n| work | without, CPU s | with, CPU s | overhead, median of pairs | middle half of the pairs |\n|---|--:|--:|--:|--:|",
    );
    slowdown(&folder);
    text("\n| | measured |\n|---|---|");
    itself(&folder);
}

fn slowdown(folder: &Folder) {
    let cgroup = Cgroup::new(&format!("ebhost-overhead-{}", std::process::id()));
    measured(&cgroup);
    let pairs: Vec<_> = (0..PAIRS).map(|pair| pair_of(&cgroup, folder, pair % 2 == 0)).collect();
    let all = |work: &dyn Fn(&[f64; WORK.len()]) -> f64, name: &str| {
        let mut ratios: Vec<_> = pairs.iter().map(|(without, with)| work(with) / work(without) - 1.0).collect();
        ratios.sort_by(f64::total_cmp);
        let median = |mut times: Vec<f64>| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        };
        let [low, middle, high] = [1, 2, 3].map(|quarter| ratios[ratios.len() * quarter / 4] * 100.0);
        text(&format!(
            "| {name} | {:.4} | {:.4} | **{middle:.1} %** | {low:.1} … {high:.1} % |",
            median(pairs.iter().map(|(without, _)| work(without)).collect()),
            median(pairs.iter().map(|(_, with)| work(with)).collect()),
        ));
    };
    for (at, (kind, count)) in WORK.iter().enumerate() {
        all(&|times| times[at], &format!("{count} {kind}"));
    }
    all(&|times| times.iter().sum(), "all three");
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
