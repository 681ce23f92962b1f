//! The cost of refusing a file: no configuration takes more than seconds or 64 MB, and no file of types is read without end.

use std::{fs, path::Path, process::Command};

use ebhost_tests::{Ebhost, needs, output};

use crate::{drop_in::DropIns, files::errors};

const TABLE: &str = "TABLE(good_total, HASH, 4, 16);";

const GOOD: &str = "
metrics:
  counters:
    - { name: good_total, help: Good., labels: [{ name: id, size: 4, decoders: [{ name: uint }] }] }
";

/// Configurations that cost a parser much, of a megabyte or of the most that is read.
fn hostile() -> Vec<(&'static str, String)> {
    let most = 1 << 18;
    let numbered = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let aliases = |index: usize| format!("k{}: &a{} [{}]\n", index + 1, index + 1, format!("*a{index},").repeat(9));
    vec![
        ("deep", "[".repeat(1 << 20)),
        ("deep_less", "[".repeat(most - 1)),
        ("deep_text", format!("a: \"{}\"", "[".repeat(most - 10))),
        ("questions", "? ".repeat(most / 2 - 1)),
        ("dashes", "- ".repeat(most / 2 - 1)),
        ("indented", numbered(700, &|index| format!("{}a:\n", " ".repeat(index)))),
        ("flat", format!("[{}]", "a,".repeat(most / 2 - 2))),
        ("empty_maps", format!("[{}]", "{},".repeat(most / 3 - 2))),
        ("keys", numbered(22_000, &|index| format!("k{index}: 1\n"))),
        (
            "counters",
            format!("metrics:\n  counters:\n{}", numbered(11_000, &|index| format!("  - {{ name: n{index} }}\n"))),
        ),
        ("labels", format!("metrics: {{ counters: [{{ name: good_total, labels: [{}] }}] }}", "{},".repeat(80_000))),
        ("aliases", format!("k0: &a0 [x]\n{}", numbered(30, &aliases))),
        ("one_line", "x".repeat(most - 1)),
        ("lines", format!("'{}", "\n".repeat(most - 2))),
        ("tags", format!("a: {}", "!x ".repeat(80_000))),
        ("anchors", numbered(20_000, &|index| format!("- &{index} x\n"))),
    ]
}

/// The most memory that the process has had, in bytes, and the CPU time that it has taken, in seconds.
fn cost(host: &Ebhost) -> (u64, f64) {
    let read = |file: &str| fs::read_to_string(format!("/proc/{}/{file}", host.pid())).expect("it runs");
    let status = read("status");
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let stat = read("stat");
    let fields: Vec<_> = stat.rsplit_once(')').expect("a name in brackets").1.split_whitespace().collect();
    let ticks: f64 = fields[11..13].iter().map(|ticks| ticks.parse::<f64>().expect("a number")).sum();
    (peak.expect("a peak") << 10, ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// CPU time in seconds. The costliest takes half a second; a process on a CPU that others use as well takes twice as long and more.
const MOST_SECONDS: f64 = 5.0;

/// One of 90 000 lines that were each a mistake took 15 s to be refused; nested ones took hours.
#[test]
fn no_configuration_costs_more_than_seconds_or_64_mb() {
    needs!(Root, Tool("clang-19"));
    let folder = DropIns::with("good", TABLE, GOOD);
    let host = folder.start("good").listening();
    let (peak, time) = cost(&host);
    host.stop();
    for (name, yaml) in hostile() {
        fs::copy(folder.path().join("good.bpf.o"), folder.path().join(format!("{name}.bpf.o"))).expect("our own file");
        folder.write(name, &yaml);
        // Read again every second, if something in the folder changes: not here.
        let host = folder.start(&format!("good,{name}")).args(&["--reload", "off"]).listening();
        let (found_peak, found_time) = cost(&host);
        let log = host.stop();
        let said = errors(&log);
        assert!(said.contains(&format!("/{name}.")), "{name} is refused:\n{said}");
        assert!(said.len() < 64 << 10, "{name} is refused in {} bytes", said.len());
        assert!(found_peak < peak + (64 << 20), "{name}: {found_peak} bytes, {peak} without it");
        assert!(found_time < time + MOST_SECONDS, "{name}: {found_time} s of CPU time, {time} without it");
    }
}

/// `--btf.path /dev/zero` was read without end, and a pipe without a writer was waited for.
#[test]
fn a_file_of_types_without_an_end_is_refused_at_once() {
    needs!(Root, Tool("clang-19"), Tool("mkfifo"));
    let program = "
        struct task_struct { int pid; } __attribute__((preserve_access_index));
        SEC(\"raw_tp/sched_process_exec\") int on_exec(u64 *context)
        {
            return __builtin_preserve_field_info(((struct task_struct *)context[0])->pid, 0);
        }
    ";
    let folder = DropIns::with("types", &format!("{TABLE}{program}"), GOOD);
    let pipe = folder.path().join("pipe");
    output(Command::new("mkfifo").arg(&pipe));
    let long = folder.path().join("long");
    fs::write(&long, b"\x9f\xeb\x01\x00").expect("our own folder");
    let file = fs::File::options().write(true).open(&long).expect("our own file");
    file.set_len(1 << 40).expect("a file with a hole");
    for (path, why) in [
        ("/dev/zero", "it is not a regular file"),
        (pipe.to_str().expect("a text"), "it is not a regular file"),
        ("/proc/version", "it does not begin like BTF or ELF"),
        (long.to_str().expect("a text"), "found more than 33554432 bytes, expected the types of one kernel"),
    ] {
        let ended = folder.start("types").args(&["--config.check", "--btf.path", path]).ended();
        let said = errors(&ended.log);
        assert!(said.contains(&format!("{path}: is no BTF that can be read ({why})")), "{said}");
        assert_eq!(ended.status.code(), Some(1));
    }
    let own = "/sys/kernel/btf/vmlinux";
    let ended = folder.start("types").args(&["--config.check", "--btf.path", own]).ended();
    assert!(ended.status.success(), "{}", ended.log.text());
}

/// A file system without room for a compiled component. Unmounted on drop, also when the test fails.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn small(folder: &'a Path) -> Self {
        output(Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k,mode=700", "full"]).arg(folder));
        Self(folder)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status(); // a test that fails has its own reason
    }
}

/// A full disk below the cache: nothing was said, and each start left one `.tmp` more.
#[test]
fn a_cache_on_a_full_disk_is_a_warning_and_leaves_nothing_behind() {
    needs!(Root, Tool("clang-19"), Tool("mount"), Tool("umount"));
    let folder = DropIns::with("good", TABLE, GOOD);
    let cache = folder.path().join("cache");
    fs::create_dir(&cache).expect("our own folder");
    let mounted = Mounted::small(&cache);
    let ended: Vec<_> = (0..2)
        .map(|_| {
            let ended = folder
                .start("good")
                .args(&["--config.check", "--cache.dir"])
                .args(&[cache.to_str().expect("text")])
                .ended();
            let left = fs::read_dir(&cache).expect("it is mounted").count();
            (ended, left)
        })
        .collect();
    drop(mounted);
    for (ended, left) in ended {
        let said = errors(&ended.log);
        assert!(ended.status.success(), "{said}");
        assert_eq!(left, 0, "files in the cache");
        let expected =
            "a compiled component was not cached, and is compiled again at the next start: No space left on device";
        assert!(said.contains(expected), "{said}");
    }
}
