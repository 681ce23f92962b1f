//! Small objects, each for one thing that libbpf's loader does, on other kernels: counted by ebhost, and then loaded by bpftool (libbpf 1.5).
//! Where bpftool loads a program, ebhost loads it; where bpftool attaches one, ebhost attaches it.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use ebhost_tests::{
    Exposition, Folder, debian,
    everything::{Marks, doer},
    needs,
    small::{KERNEL_FUNCTIONS, SMALL, Small, USDT_ARGS, left_out},
};

use crate::guest::{Console, Guest};

/// The number of each operation in the virtual machine, as in small-init.
const COUNT: u64 = 20;

const FUNCTIONS: Small = Small { name: "functions", maps: &["functions"], counts: |_| Vec::new(), unplaced: &[] };
const MODULE_TYPES: Small =
    Small { name: "module_types", maps: &["module_types"], counts: |_| Vec::new(), unplaced: &[] };

/// Features of a kernel, for the objects that need more than 5.10.
#[derive(Debug, Clone, Copy)]
struct Has {
    /// Links of perf events: 5.15.
    usdt_arguments: bool,
    /// `bpf_rcu_read_lock`: 6.2.
    kernel_functions: bool,
    /// CONFIG_FPROBE.
    patterns: bool,
    /// Types of modules: 5.11, and CONFIG_DEBUG_INFO_BTF_MODULES.
    module_types: bool,
}

fn small_objects_count_on(line: &str, has: Has) {
    let guest = Guest::x86(line, "small-init");
    guest.put_ebhost();
    guest.put_program(&doer(), "ebhostdo");
    guest.put_kernel_config();
    put_bpftool(&guest);
    ["configfs", "null_blk"].into_iter().for_each(|module| guest.put_module(module));
    let (folder, marks) = (Folder::new(), Marks { name: "ebhostdo".to_owned(), port: 39_123 });
    let all: Vec<Small> = SMALL.into_iter().chain([USDT_ARGS, KERNEL_FUNCTIONS, FUNCTIONS, MODULE_TYPES]).collect();
    all.iter().for_each(|small| small.write(folder.path(), Path::new("/bin/ebhostdo"), &marks));
    let names: Vec<_> = all.iter().map(|small| small.name).collect();
    fs::write(folder.path().join("names"), names.join(",")).expect("our own folder");
    guest.put(folder.path(), "drop-ins");
    let console = guest.boot();
    assert!(console.section("release").starts_with(line), "{}", console.section("release"));
    assert_counts(&console, has);
    for small in &all {
        assert_beside_bpftool(&console, small);
    }
}

/// bpftool and the libraries that it runs on, which are not this machine's.
fn put_bpftool(guest: &Guest) {
    let root = debian::LIBBPF.root();
    let library = |name: &str| root.join("usr/lib/x86_64-linux-gnu").join(name);
    for name in ["ld-linux-x86-64.so.2", "libc.so.6", "libelf.so.1", "libz.so.1", "libcap.so.2", "libzstd.so.1"] {
        guest.put(&fs::canonicalize(library(name)).expect("it was unpacked"), &format!("bpftool/{name}"));
    }
    guest.put(&root.join("usr/sbin/bpftool"), "bpftool/bpftool");
    let folder = Folder::new();
    let script = folder.path().join("bpftool");
    let text = "#!/bin/sh\nexec /bpftool/ld-linux-x86-64.so.2 --library-path /bpftool /bpftool/bpftool \"$@\"\n";
    fs::write(&script, text).expect("our own folder");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("our own file");
    guest.put(&script, "bin/bpftool");
}

fn assert_counts(console: &Console, has: Has) {
    let (served, log) = (console.served("metrics"), console.section("log drop-ins"));
    for small in SMALL {
        assert_eq!(small.wrong(&served, COUNT), Vec::<String>::new(), "{}: {log}", small.name);
        let mut out: Vec<_> = left_out(&served, small.name).into_iter().map(|(program, _)| program).collect();
        out.sort();
        let mut expected = small.unplaced.to_vec();
        expected.sort_unstable();
        assert_eq!(out, expected, "{}: {log}", small.name);
    }
    for (small, is_there) in [(USDT_ARGS, has.usdt_arguments), (KERNEL_FUNCTIONS, has.kernel_functions)] {
        let wrong = small.wrong(&served, COUNT);
        assert_eq!(wrong.is_empty(), is_there, "{wrong:?}: {log}");
    }
    assert_version(console, &served);
    assert_functions(&served, log, has);
    assert_module(&served, log, has);
    // Events of a CPU that was away are read again, all of them.
    let again = console.served("again");
    assert_eq!(again.value("ebpf_exporter_small_events", &[("slot", "7")]), Some(2.0 * COUNT as f64), "{log}");
}

/// Debian's `uname -v` has the patch level that its `uname -r` may hide.
fn assert_version(console: &Console, served: &Exposition) {
    let version = console.section("version").split_once("Debian ").expect("a version of Debian's").1;
    let numbers = version.split(['.', '-', '+', '~']).map(|part| part.parse::<u64>().unwrap_or(0));
    let code: u64 = numbers.take(3).zip([16, 8, 0]).map(|(number, shift)| number.min(255) << shift).sum();
    assert_eq!(served.value("ebpf_exporter_versions", &[("slot", "1")]), Some((COUNT * code) as f64), "{version}");
}

fn assert_functions(served: &Exposition, log: &str, has: Has) {
    let slot = |slot: &str| served.value("ebpf_exporter_functions", &[("slot", slot)]);
    let patterns = if has.patterns { COUNT as f64 } else { 0.0 };
    assert_eq!((slot("0"), slot("1"), slot("2")), (Some(patterns), Some(COUNT as f64), Some(COUNT as f64)), "{log}");
    let out = left_out(served, "functions");
    let is_out = |program: &str| out.iter().any(|(name, _)| name == program);
    // Debian's kernels refuse a kprobe on one of several functions of a name, 5.10 too.
    assert_eq!((is_out("on_pattern"), is_out("on_several")), (!has.patterns, true), "{out:?}: {log}");
    assert!(log.contains("this kernel has several functions `name_show`"), "{log}");
    if !has.patterns {
        let why = if has.usdt_arguments {
            "needs a kernel with CONFIG_FPROBE=y, which this one has not"
        } else {
            "needs Linux 5.18"
        };
        assert!(log.contains(why), "{log}");
    }
}

fn assert_module(served: &Exposition, log: &str, has: Has) {
    let slot = |slot: &str| served.value("ebpf_exporter_module_types", &[("slot", slot)]).unwrap_or_default();
    assert!(slot("5") > 0.0, "the kprobe on the module's function counts: {log}");
    let expected = if has.module_types { slot("5") } else { 0.0 };
    for typed in ["0", "1", "2", "3"] {
        assert_eq!(slot(typed), expected, "slot {typed}: {log}");
    }
    assert_eq!(slot("4"), 0.0, "no module has that type");
}

fn assert_beside_bpftool(console: &Console, small: &Small) {
    let (served, log) = (console.served("metrics"), console.section("log drop-ins"));
    let section = console.section(&format!("bpftool {}", small.name));
    let out = left_out(&served, small.name);
    for line in section.lines() {
        if let Some(program) = line.strip_prefix("loads ") {
            let info = &served.families["ebpf_exporter_ebpf_program_info"].samples;
            let is_it = |labels: &ebhost_tests::Labels| labels["config"] == small.name && labels["program"] == program;
            let is_loaded =
                info.iter().any(|sample| is_it(&sample.labels) && sample.labels["id"].parse::<u32>().is_ok());
            assert!(is_loaded, "bpftool loads {program} of {}: {section}\n{log}", small.name);
        } else if let Some(program) = line.strip_prefix("attaches ") {
            assert!(
                !out.iter().any(|(name, _)| name == program),
                "bpftool attaches {program} of {}: {log}",
                small.name
            );
        }
    }
}

#[test]
fn small_objects_count_on_5_10() {
    needs!(Guest, Tool("clang-19"), Tool("xz"));
    let has = Has { usdt_arguments: false, kernel_functions: false, patterns: false, module_types: false };
    small_objects_count_on("5.10", has);
}

#[test]
fn small_objects_count_on_6_1() {
    needs!(Guest, Tool("clang-19"), Tool("xz"));
    let has = Has { usdt_arguments: true, kernel_functions: false, patterns: false, module_types: true };
    small_objects_count_on("6.1", has);
}

#[test]
fn small_objects_count_on_6_12() {
    needs!(Guest, Tool("clang-19"), Tool("xz"));
    let has = Has { usdt_arguments: true, kernel_functions: true, patterns: true, module_types: true };
    small_objects_count_on("6.12", has);
}

#[test]
fn small_objects_count_on_the_newest_kernel() {
    needs!(Guest, Tool("clang-19"), Tool("xz"));
    let has = Has { usdt_arguments: true, kernel_functions: true, patterns: true, module_types: true };
    small_objects_count_on("7.3", has);
}
