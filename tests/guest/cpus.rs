//! A machine that is built for many more CPUs than it has, as virtual machines are; and a kernel without BTF.

use std::fs;

use ebhost_tests::{Exposition, Folder, compile, llcstat, needs, toucher};

use crate::{
    disk::{put_biolatency, stat},
    guest::{Console, Guest},
};

/// Executions of each file name, in a map with a value for each possible CPU; and a field of the kernel's, for which BTF is needed.
const EXECUTIONS: &str = "
#define TYPE(number) int (*type)[number]
struct comm { char bytes[16]; };
struct { TYPE(5); int (*max_entries)[4096]; struct comm *key; u64 *value; } executions SEC(\".maps\");
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*current_comm)(void *comm, unsigned int size) = (void *)16;
struct task_struct { int tgid; } __attribute__((preserve_access_index));
SEC(\"tp_btf/sched_process_exec\") int on_exec(u64 *context)
{
    struct task_struct *task = (void *)context[0];
    struct comm comm = {};
    u64 one = 1, *count;
    current_comm(&comm, sizeof(comm));
    count = lookup(&executions, &comm);
    if (count)
        *count += 1;
    else if (task->tgid)
        update(&executions, &comm, &one, 0);
    return 0;
}
";

const CONFIGURATION: &str = "
metrics:
  counters:
    - name: executions
      help: Executions by file name.
      labels:
        - name: comm
          size: 16
          decoders: [{ name: string }]
";

/// A machine with two CPUs online, and more that are not.
struct Machine {
    line: &'static str,
    /// QEMU's `-smp`.
    cpus: &'static str,
    /// Further parameters of the kernel.
    parameters: &'static str,
    possible: &'static str,
    present: &'static str,
    /// The most memory that the host may take.
    resident: u32,
}

fn booted(machine: &Machine) -> Console {
    let guest = Guest::x86(machine.line, "cpus-init").with_cpus(machine.cpus).with_parameters(machine.parameters);
    guest.put_ebhost();
    guest.put_program(&toucher(), "toucher");
    put_biolatency(&guest);
    ["configfs", "null_blk"].into_iter().for_each(|module| guest.put_module(module));
    let folder = Folder::new();
    for (name, by) in [("llcstat", "pid"), ("commands", "comm")] {
        let names = format!("{name}_faults, {name}_switches");
        let sections = llcstat::charged(by, "software/page-faults, software/context-switches", &names);
        llcstat::add(folder.path(), name, &sections);
        guest.put(&folder.path().join(name), &format!("plugins/disk/{name}"));
    }
    compile(EXECUTIONS, "bpf", &folder.path().join("executions.bpf.o"));
    fs::write(folder.path().join("executions.yaml"), CONFIGURATION).expect("our own folder");
    guest.put(&folder.path().join("executions.bpf.o"), "drop-ins/executions.bpf.o");
    guest.put(&folder.path().join("executions.yaml"), "drop-ins/executions.yaml");
    guest.write_script("counted", "#!/bin/busybox sh\n");
    guest.write("types", b"no types");
    guest.boot()
}

fn two_cpus_of_many(machine: &Machine) {
    let console = booted(machine);
    assert_eq!((console.section("possible"), console.section("present")), (machine.possible, machine.present));
    assert_eq!(console.section("online"), "0-1");
    assert_eq!(console.section("paranoid"), "3", "as Debian boots");
    let log = console.section("log cpus");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    counts_are_those_of_two_cpus(&console);
    memory_is_bounded_by_what_is_used(&console, machine.resident);
    a_cpu_that_is_plugged_in_later_is_counted(&console);
    without_btf_the_remedy_fits_the_flags(&console);
}

fn counts_are_those_of_two_cpus(console: &Console) {
    let [first, last] = ["first", "last"].map(|section| console.served(section));
    let completed = stat(console, "stat after")[0] - stat(console, "stat before")[0];
    assert_eq!(completed, 250);
    let reads = |served: &Exposition| {
        let labels = [("device", "nullb0"), ("operation", "read")];
        served.histogram("ebhost_bio_latency_seconds", &labels).map_or(0, |histogram| histogram.count)
    };
    assert_eq!(reads(&last) - reads(&first), completed);

    let executions = |served: &Exposition| served.value("ebpf_exporter_executions", &[("comm", "counted")]);
    assert_eq!((executions(&first), executions(&last)), (None, Some(14.0)), "7 on each CPU");

    let number = |section: &str| console.numbers(section)[0];
    let pid = number("toucher").to_string();
    let by_pid = |served: &Exposition| served.value("ebhost_llcstat_faults_by_pid_total", &[("pid", &pid)]);
    let by_comm = |served: &Exposition| served.value("ebhost_commands_faults_by_comm_total", &[("comm", "toucher")]);
    let grown = number("faults after") - number("faults before");
    assert!(grown >= 300.0, "{grown}");
    for faults in [by_pid(&last).zip(by_pid(&first)), by_comm(&last).zip(by_comm(&first))] {
        assert_eq!(faults.map(|(last, first)| last - first), Some(grown));
    }
    let live = last.samples().filter(|sample| sample.name == "ebhost_perf_events" && sample.value > 0.0);
    let live: Vec<_> = live.map(|sample| (sample.labels["state"].as_str(), sample.value)).collect();
    assert_eq!(live, [("live", 2.0); 4], "opened at the start, though the kernel asks for CAP_SYS_ADMIN");
}

fn memory_is_bounded_by_what_is_used(console: &Console, most: u32) {
    let resident = console.served("last").value("process_resident_memory_bytes", &[]).expect("it is always served");
    assert!(resident < f64::from(most), "{resident} bytes resident");
}

fn a_cpu_that_is_plugged_in_later_is_counted(console: &Console) {
    let reads = |section| {
        let labels = [("device", "nullb0"), ("operation", "read")];
        console.served(section).histogram("ebhost_bio_latency_seconds", &labels).map_or(0, |histogram| histogram.count)
    };
    let completed = stat(console, "stat after the plug")[0] - stat(console, "stat before the plug")[0];
    assert_eq!(completed, 50);
    assert!(reads("before the plug") < completed, "CPU 1 is not looked at yet");
    assert_eq!(reads("after the plug"), completed);
}

fn without_btf_the_remedy_fits_the_flags(console: &Console) {
    let text = |flags: &str| console.section(&format!("without BTF: {flags}"));
    let drop_in = "--config.dir /drop-ins --config.names executions";
    let (package, drop_in, with_file) =
        (text("--plugins /plugins/disk"), text(drop_in), text(&format!("{drop_in} --btf.path /types")));
    for text in [package, drop_in] {
        assert!(text.contains("shows no BTF at /sys/kernel/btf/vmlinux (No such file or directory"), "{text}");
        assert!(text.contains("expected a kernel built with CONFIG_DEBUG_INFO_BTF=y"), "{text}");
    }
    assert!(!package.contains("--btf.path"), "packages take no such file: {package}");
    assert!(drop_in.contains("or --btf.path with a file that has this kernel's types"), "{drop_in}");
    assert!(with_file.contains("/types: is no BTF that can be read"), "{with_file}");
}

/// CPUs that could be plugged in. 255 is as many as QEMU emulates without another machine type. Of arrays with a part for each there are
/// 43 MiB, which are neither mapped nor copied; and room for 4 096 entries of the per-CPU map would be 8 MiB.
fn pluggable(line: &'static str) -> Machine {
    let (possible, present) = ("0-254", "0-1");
    Machine { line, cpus: "2,maxcpus=255", parameters: "", possible, present, resident: 32 << 20 }
}

#[test]
fn two_cpus_of_255_that_are_possible_cost_and_count_what_two_do_on_5_10() {
    needs!(Guest, Tool("clang-19"));
    two_cpus_of_many(&pluggable("5.10"));
}

#[test]
fn two_cpus_of_255_that_are_possible_cost_and_count_what_two_do_on_6_1() {
    needs!(Guest, Tool("clang-19"));
    two_cpus_of_many(&pluggable("6.1"));
}

/// CPUs that are there and offline. (This kernel finds none of QEMU's that could be plugged in.) Their parts of arrays are read, because any
/// of them may come online and count between two scrapes: 11 MiB, mapped and copied.
#[test]
fn two_cpus_of_64_that_are_present_count_what_two_do_on_the_newest_kernel() {
    needs!(Guest, Tool("clang-19"));
    two_cpus_of_many(&Machine {
        line: "7.3",
        cpus: "64",
        parameters: "maxcpus=2",
        possible: "0-63",
        present: "0-63",
        resident: 64 << 20,
    });
}
