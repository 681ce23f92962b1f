//! The cost of the packages' programs: ns a run by the kernel's statistics under a mixed load, with what an empty program on the same hook
//! takes in the same run taken off; and what the same job takes with ordinary BPF hashes.

use std::{
    collections::BTreeMap,
    fs,
    net::UdpSocket,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Folder, Start, committed, target, workspace};

use crate::{report::text, rest::ping_pong};

/// The packages that are compared.
const PACKAGES: [&str; 8] = ["runqlat", "sched", "oncpu", "softirqs", "hardirqs", "timers", "signals", "processes"];
const COSTS: &str = "costs";
const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";
const RUN: Duration = Duration::from_secs(5);

/// Runs and run time of a program.
#[derive(Debug, Clone, Copy, Default)]
struct Runs {
    seconds: f64,
    count: f64,
}

impl Runs {
    fn ns(self) -> Option<f64> {
        (self.count > 0.0).then(|| self.seconds * 1e9 / self.count)
    }
}

/// Programs by package and name.
type Programs = BTreeMap<(String, String), Runs>;

/// Prints a table of the packages' programs. `only`: the name of one package; none: all.
pub(crate) fn packages(only: Option<&str>) {
    text(
        "\nns a run under a mixed load (pipe ping-pong, fork and exec, writes to a disk, UDP on loopback, signals), net of an empty program on the same hook in the same run. \
         *By hash*: the same job with BPF hashes.\n",
    );
    text("| package | program | net | by hash, net | ratio | empty | runs |\n|---|---|--:|--:|--:|--:|--:|");
    for package in PACKAGES.into_iter().filter(|package| only.is_none_or(|only| only == *package)) {
        measure(package);
    }
}

/// Runs one package beside its comparison, so that caches are shared with nothing else.
fn measure(package: &str) {
    let folder = Folder::new();
    folder.copy(&committed().join(package));
    folder.copy(&workspace().join("bench/packages/costs"));
    let hooks = hooks(package);
    let programs: Vec<_> =
        hooks.iter().flat_map(|hook| [format!("empty_{hook}"), format!("{package}_{hook}")]).collect();
    let known = |program: &String| KNOWN.contains(&program.as_str());
    let programs: Vec<_> = programs.into_iter().filter(known).collect();
    folder.amend(
        COSTS,
        "  object: costs.bpf.o\n",
        &format!("  object: costs.bpf.o\n  programs: [{}]\n", programs.join(", ")),
    );
    folder.set(&format!("plugins: {{ {package}: on }}\n"));
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    let spent = spent(&host);
    host.stop();
    let of = |package: &str, program: &str| spent.get(&(package.to_owned(), program.to_owned())).copied();
    for hook in hooks {
        let empty = of(COSTS, &format!("empty_{hook}")).and_then(Runs::ns);
        let own = of(package, hook);
        let net = |runs: Option<Runs>| Some(runs?.ns()? - empty?);
        let (net_own, by_hash) = (net(own), net(of(COSTS, &format!("{package}_{hook}"))));
        let ratio = net_own.zip(by_hash).map(|(own, by_hash)| own / by_hash);
        let number = |number: Option<f64>| number.map_or_else(String::new, |number| format!("{number:.0}"));
        text(&format!(
            "| {package} | {hook} | **{}** | {} | {} | {} | {} |",
            number(net_own),
            number(by_hash),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
            number(empty),
            own.map_or(0.0, |runs| runs.count),
        ));
    }
}

/// Hooks at which a package, or the comparison, has programs.
fn hooks(package: &str) -> Vec<&'static str> {
    let of = |begin: &str| KNOWN.iter().filter_map(move |program| program.strip_prefix(begin)).collect::<Vec<_>>();
    of(&format!("{package}_"))
}

/// The programs of `bpf/costs.bpf.c`.
const KNOWN: [&str; 29] = [
    "empty_sched_switch",
    "empty_sched_wakeup",
    "empty_sched_migrate_task",
    "empty_sched_process_fork",
    "empty_sched_process_exec",
    "empty_sched_process_exit",
    "empty_softirq_raise",
    "empty_softirq_entry",
    "empty_softirq_exit",
    "empty_irq_handler_entry",
    "empty_irq_handler_exit",
    "empty_signal_generate",
    "empty_timer_start",
    "empty_hrtimer_start",
    "runqlat_sched_switch",
    "sched_sched_switch",
    "sched_sched_migrate_task",
    "oncpu_sched_switch",
    "softirqs_softirq_raise",
    "softirqs_softirq_entry",
    "softirqs_softirq_exit",
    "hardirqs_irq_handler_entry",
    "hardirqs_irq_handler_exit",
    "signals_signal_generate",
    "timers_timer_start",
    "processes_sched_process_fork",
    "processes_sched_process_exec",
    "processes_sched_process_exit",
    "runqlat_sched_wakeup",
];

/// The programs' runs during a load.
fn spent(host: &Ebhost) -> Programs {
    let statistics = fs::read_to_string(STATISTICS).unwrap_or_default();
    fs::write(STATISTICS, "1").expect("the benchmark runs as root");
    let before = programs(host);
    load();
    let after = programs(host);
    let _ = fs::write(STATISTICS, statistics.trim());
    let grown = |(key, after): (_, Runs)| {
        let before = before.get(&key).copied().unwrap_or_default();
        (key, Runs { seconds: after.seconds - before.seconds, count: after.count - before.count })
    };
    after.into_iter().map(grown).collect()
}

fn programs(host: &Ebhost) -> Programs {
    let served = host.scrape();
    let mut programs = Programs::new();
    for sample in served.samples() {
        let label = |name: &str| sample.labels.get(name).cloned().unwrap_or_default();
        let runs = programs.entry((label("plugin"), label("program"))).or_default();
        match sample.name.as_str() {
            "ebhost_program_run_seconds_total" => runs.seconds = sample.value,
            "ebhost_program_runs_total" => runs.count = sample.value,
            _ => {}
        }
    }
    programs
}

/// A bit of everything that the packages count.
fn load() {
    let end = Instant::now() + RUN;
    let until = move |mut act: Box<dyn FnMut() + Send>| {
        thread::spawn(move || {
            while Instant::now() < end {
                act();
            }
        })
    };
    let path = target().join(format!("cost-{}", std::process::id()));
    let file = fs::File::create(&path).expect("a file in the folder of the build");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let to = socket.local_addr().expect("it is bound");
    let threads = [
        thread::spawn(|| ping_pong(RUN)),
        until(Box::new(|| {
            let _ = Command::new("true").status();
        })),
        until(Box::new(move || {
            let _ = file.set_len(0).and_then(|()| file.sync_all());
            thread::sleep(Duration::from_millis(1));
        })),
        until(Box::new(move || {
            let _ = socket.send_to(b"x", to).and_then(|_| socket.recv(&mut [0; 1]));
            thread::sleep(Duration::from_micros(100));
        })),
        until(Box::new(|| {
            let _ = Command::new("sh").args(["-c", "for i in 1 2 3 4 5 6 7 8; do kill -CONT $$; done"]).status();
        })),
    ];
    threads.into_iter().for_each(|thread| thread.join().expect("the load does not fail"));
    let _ = fs::remove_file(path);
}
