//! Page faults against the kernel's counts of a process and of the machine.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use ebhost_tests::{Cgroup, Disk, Ebhost, Exposition, Folder, alone, committed, needs, output, wait_for_state};

/// Touches fresh pages, and pages of a file that are not in memory, when it is told to. Each is a fault.
const TOUCHER: &str = "
import mmap, sys
file = open(sys.argv[1], 'rb')
for line in sys.stdin:
    kind, count = line.split()
    if kind == 'fresh':
        pages = mmap.mmap(-1, 4096 * int(count))
        pages.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(int(count)): pages[4096 * page] = 1
    else:
        pages = mmap.mmap(file.fileno(), 16 << 20, prot=mmap.PROT_READ)
        pages.madvise(mmap.MADV_RANDOM)
        for page in range(int(count)): pages[65536 * page]
    print('done', flush=True)
";

struct Toucher(Child);

impl Toucher {
    fn start(command: &mut Command, file: &Path) -> Self {
        let command = command.args(["python3", "-c", TOUCHER]).arg(file);
        let mut toucher = Self(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell"));
        toucher.touch("fresh", 1);
        toucher
    }

    fn touch(&mut self, kind: &str, pages: u32) {
        writeln!(self.0.stdin.as_mut().expect("a pipe"), "{kind} {pages}").expect("it reads");
        let mut line = String::new();
        let answers = self.0.stdout.as_mut().expect("a pipe");
        BufReader::with_capacity(1, answers).read_line(&mut line).expect("it answers");
        assert_eq!(line, "done\n");
    }

    /// The minor and the major faults that the kernel counted.
    fn faults(&self) -> [f64; 2] {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).expect("it runs");
        let (_, fields) = stat.rsplit_once(") ").expect("a comm in brackets");
        let fields: Vec<f64> = fields.split(' ').map(|field| field.parse().unwrap_or_default()).collect();
        [fields[7], fields[9]]
    }
}

impl Drop for Toucher {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn served(served: &Exposition, cgroup: &[(&str, &str)]) -> [f64; 2] {
    ["minor", "major"].map(|kind| {
        let labels = [cgroup, &[("type", kind)]].concat();
        served.value("ebhost_page_faults_total", &labels).unwrap_or_default()
    })
}

fn less(last: [f64; 2], first: [f64; 2]) -> [f64; 2] {
    [last[0] - first[0], last[1] - first[1]]
}

/// `late`: how many faults may be counted only with the next one.
fn equals_the_kernels(programs: &str, late: f64) {
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("pagefaults"));
    folder.amend("pagefaults", "[page_fault_user, sched_switch]", programs);
    folder.set("plugins: { pagefaults: { cg: cgroup } }\n");
    let host = Ebhost::start(folder.path());
    let cgroup = Cgroup::new(&format!("ebhost-faults-{}", std::process::id()));
    let disk = Disk::file_backed();
    let mut toucher = Toucher::start(&mut cgroup.starter(), &disk.device());
    let label = [("cgroup", cgroup.path())];
    let mut grown = |kind: &str, pages: u32| {
        let (first, kernel_first) = (served(&host.scrape(), &label), toucher.faults());
        // Nothing of the disk is in memory.
        output(Command::new("blockdev").arg("--flushbufs").arg(disk.device()));
        toucher.touch(kind, pages);
        // It sleeps a moment after it has answered.
        wait_for_state(toucher.0.id(), 'S');
        thread::sleep(Duration::from_millis(50));
        (less(served(&host.scrape(), &label), first), less(toucher.faults(), kernel_first))
    };
    let (fresh, kernel_fresh) = grown("fresh", 5000);
    let (file, kernel_file) = grown("file", 100);
    eprintln!("{fresh:?}, the kernel {kernel_fresh:?}; {file:?}, the kernel {kernel_file:?}");
    assert!(kernel_fresh[0] >= 5000.0 && kernel_file[1] >= 90.0, "{kernel_fresh:?}, {kernel_file:?}");
    for (counted, kernel) in [(fresh, kernel_fresh), (file, kernel_file)] {
        let is_near = |kind: usize| (counted[kind] - kernel[kind]).abs() <= late;
        assert!(is_near(0) && is_near(1), "{counted:?}, the kernel has {kernel:?}");
    }
    drop(toucher);
    host.stop();
}

#[test]
fn faults_of_a_cgroup_equal_those_that_the_kernel_counts_for_its_process() {
    needs!(Root, Cgroup2, Tool("python3"));
    equals_the_kernels("page_fault_user", 1.0);
}

#[test]
fn faults_of_a_cgroup_are_counted_at_context_switches_where_faults_have_no_tracepoint() {
    needs!(Root, Cgroup2, Tool("python3"));
    equals_the_kernels("sched_switch", 0.0);
}

/// The minor and the major faults of the machine.
fn of_the_machine() -> [f64; 2] {
    let stat = fs::read_to_string("/proc/vmstat").expect("the kernel's file");
    let number = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|number| number.parse::<f64>().ok()).expect("a counter of every kernel")
    };
    let major = number("pgmajfault");
    [number("pgfault") - major, major]
}

#[test]
fn faults_of_the_machine_are_those_of_vmstat() {
    needs!(Root, Tool("python3"));
    let _alone = alone();
    let folder = Folder::new();
    folder.copy(&committed().join("pagefaults"));
    let host = Ebhost::start(folder.path());
    let outer = of_the_machine();
    let first = served(&host.scrape(), &[]);
    let inner = of_the_machine();
    let script = "import mmap; pages = mmap.mmap(-1, 4096 * 200000); pages.madvise(mmap.MADV_NOHUGEPAGE)\nfor page in range(200000): pages[4096 * page] = 1";
    output(Command::new("python3").args(["-c", script]));
    let inner = less(of_the_machine(), inner);
    let counted = less(served(&host.scrape(), &[]), first);
    let outer = less(of_the_machine(), outer);
    eprintln!("{counted:?}; vmstat: {inner:?} to {outer:?}");
    // vmstat also counts pages that the kernel faults in for system calls, which events do not.
    assert!(
        counted[0] >= 200_000.0 && counted[0] >= 0.97 * inner[0] && counted[0] <= outer[0],
        "{counted:?}, {inner:?}, {outer:?}"
    );
    host.stop();
}
