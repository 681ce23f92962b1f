//! The author's kit: what `check` finds in a program, `replay` in a recording, and the commands `tracepoint` and `pack`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use ebhost_tests::{Folder, compile, needs, output, workspace};

use crate::{Said, ebhost, fixture};

/// The template runqlat, built once for all tests: its folder, and a copy of what a host reads of it and of its recording.
pub(crate) fn runqlat() -> (Folder, PathBuf) {
    static BUILT: OnceLock<Folder> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = Folder::new();
        assert_eq!(ebhost(&["new", "runqlat", "--from", "runqlat"], folder.path()).code, Some(0));
        let mut build = Command::new("./build.sh");
        output(
            build.current_dir(folder.path().join("runqlat")).env("CARGO_TARGET_DIR", workspace().join("target/guide")),
        );
        folder
    });
    let folder = Folder::new();
    let package = folder.path().join("runqlat");
    fs::create_dir(&package).expect("our own folder");
    for name in ["plugin.yaml", "runqlat.wasm", "runqlat.bpf.o", "sample.jsonl"] {
        fs::copy(built.path().join("runqlat").join(name), package.join(name)).expect("it was built");
    }
    (folder, package)
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).expect("our own file");
    assert!(text.contains(from), "{} has no `{from}`:\n{text}", file.display());
    fs::write(file, text.replace(from, to)).expect("our own file");
}

/// A package of the component `mistaken`, with a program that is compiled of this source.
fn with_program(source: &str) -> (Folder, PathBuf) {
    const MAPS: &str =
        "struct key { u32 event; char comm[16]; };\nHASH(events, struct key, u64);\nHASH(lost, u32, u64);\n";
    let folder = Folder::new();
    let package = folder.path().join("mistaken");
    fs::create_dir(&package).expect("our own folder");
    fs::copy(fixture("mistaken/mistaken.wasm"), package.join("mistaken.wasm")).expect("our own folder");
    compile(&format!("{MAPS}{source}"), "bpf", &package.join("p.bpf.o"));
    let yaml = "name: mistaken\ncomponent: mistaken.wasm\nbpf: { object: p.bpf.o }\nconfig: { mistake: none }\n";
    fs::write(package.join("plugin.yaml"), yaml).expect("our own file");
    (folder, package)
}

fn check(package: &Path, more: &[&str]) -> Said {
    ebhost(&[&["check"], more, &["."]].concat(), package)
}

#[test]
fn the_template_runqlat_is_the_package_that_is_tested_here() {
    let folder = Folder::new();
    assert_eq!(ebhost(&["new", "runqlat", "--from", "runqlat"], folder.path()).code, Some(0));
    let package = folder.path().join("runqlat");
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let plugin = workspace().join("examples/runqlat");
    let sources = fs::read_dir(plugin.join("src")).expect("its sources").map(|entry| entry.expect("an entry").path());
    let mut pairs: Vec<_> =
        sources.map(|path| (path.clone(), package.join("src").join(path.file_name().expect("a name")))).collect();
    pairs.push((plugin.join("runqlat.bpf.c"), package.join("runqlat.bpf.c")));
    pairs.push((plugin.join("plugin.yaml"), package.join("plugin.yaml")));
    for (ours, made) in pairs {
        // Its families begin with the package's name.
        assert_eq!(
            text(&ours).replace("runqueue", "runqlat"),
            text(&made).replace("runqueue", "runqlat"),
            "{}",
            ours.display()
        );
    }
}

/// Lines that a new author has to write for latencies by cgroup: the headers and the SDK bring the rest.
#[test]
fn run_queue_latency_takes_forty_lines_of_c_and_forty_of_rust() {
    for file in ["examples/runqlat/runqlat.bpf.c", "examples/runqlat/src/lib.rs"] {
        let text = fs::read_to_string(workspace().join(file)).expect("a file of the repository");
        let is_code = |line: &&str| !line.trim().is_empty() && !line.trim().starts_with("//");
        let lines = text.lines().filter(is_code).count();
        assert!(lines <= 40, "{file}: {lines} lines of code");
    }
}

/// The template's recording held names of the table `cgroup` while its plugin asked `live-cgroup`: the replay printed nothing, and was
/// accepted as the expected output.
#[test]
fn a_recording_without_the_names_that_are_looked_up_is_no_test() {
    needs!(Root, Tool("clang-19"), Tool("cargo"));
    let (_folder, package) = runqlat();
    let good = ebhost(&["replay", ".", "sample.jsonl"], &package);
    assert!(
        good.code == Some(0) && good.out.contains("cgroup=\"/user.slice\"") && !good.err.contains("warning"),
        "{}",
        good.err
    );
    edit(&package.join("sample.jsonl"), "live-cgroup", "cgroup");
    let says = "sample.jsonl: the component looks up 3 keys in the table `live-cgroup` (the first is 0000000000000000) that the \
                recording does not hold; it holds names of cgroup: record it again with this package";
    let replayed = ebhost(&["replay", ".", "sample.jsonl"], &package);
    assert!(replayed.code == Some(0) && replayed.err.contains(&format!("warning: {says}")), "{}", replayed.err);
    for more in [&["--expect", "expected.prom"][..], &["--expect", "expected.prom", "--bless"]] {
        let refused = ebhost(&[&["replay", ".", "sample.jsonl"], more].concat(), &package);
        assert!(refused.code == Some(2) && refused.err.contains(says), "{more:?}: {}{}", refused.out, refused.err);
    }
    assert!(!package.join("expected.prom").exists());
    let checked = check(&package, &["--recording", "sample.jsonl"]);
    assert!(checked.code == Some(1) && checked.out.contains(&format!("error[decode] {says}")), "{}", checked.out);
}

/// A sum in another unit than the bounds loads, counts, and makes every mean wrong.
#[test]
fn a_sum_that_its_buckets_do_not_allow_is_reported() {
    needs!(Root, Tool("clang-19"), Tool("cargo"));
    let (_folder, package) = runqlat();
    let file = package.join("sample.jsonl");
    // 46 waits that lasted 240 µs together last 24 s.
    edit(&file, "010000000000000080a9030000000000", "010000000000000080a903ff05000000");
    let replayed = ebhost(&["replay", ".", "sample.jsonl"], &package);
    let says = "family `runqlat_latency_seconds`: the sum of a series with ";
    assert!(replayed.err.contains(&format!("warning: {says}")), "{}", replayed.err);
    let checked = check(&package, &["--recording", "sample.jsonl"]);
    assert!(checked.code == Some(0) && checked.out.contains(says), "{}", checked.out);
    assert_eq!(check(&package, &["--recording", "sample.jsonl", "--deny-warnings"]).code, Some(1));
}

#[test]
fn a_program_without_a_license_is_refused() {
    needs!(Tool("clang-19"));
    let (_folder, package) = with_program("SEC(\"socket\") int p(void *ctx) { return 0; }\n");
    let source = fs::read_to_string(package.join("p.bpf.c")).expect("it was compiled");
    let source = source.lines().filter(|line| !line.contains("license")).collect::<Vec<_>>().join("\n");
    fs::write(package.join("p.bpf.c"), source.replace("\"socket\"", "\"raw_tp/sched_switch\"")).expect("our own file");
    output(
        Command::new("clang-19")
            .current_dir(&package)
            .args(["-target", "bpf", "-g", "-O2", "-c", "-o", "p.bpf.o", "p.bpf.c"]),
    );
    let checked = check(&package, &[]);
    assert!(
        checked.code == Some(1) && checked.out.contains("p.bpf.o: has no license: expected `char LICENSE[]"),
        "{}",
        checked.out
    );
    let folder = package.parent().expect("a folder");
    let ran = ebhost(&["run", "mistaken", "--for", "1s"], folder);
    assert!(ran.code == Some(2) && ran.err.contains("has no license"), "{}", ran.err);
}

/// A reduced copy of a kernel's struct was read at the copy's offsets: the program loaded, and read other members.
#[test]
fn a_struct_of_the_kernel_without_core_is_reported() {
    needs!(Tool("clang-19"), File("/sys/kernel/btf/vmlinux"));
    let program = |pragma: &str, end: &str| {
        format!(
            "{pragma}\nstruct task_struct {{ int pid; int tgid; }};\n{end}\nu64 seen;\n\
             SEC(\"tp_btf/sched_wakeup\") int p(u64 *args) {{\n\tstruct task_struct *task = (void *)args[0];\n\n\tseen += task->tgid;\n\treturn 0;\n}}\n"
        )
    };
    let (_folder, package) = with_program(&program("", ""));
    let checked = check(&package, &[]);
    let says = "`struct task_struct` is a part of the kernel's, and `tgid` is read at the offset that it has here";
    assert!(checked.code == Some(0) && checked.out.contains(says), "{}", checked.out);
    let push = "#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)";
    let (_folder, package) = with_program(&program(push, "#pragma clang attribute pop"));
    let checked = check(&package, &["--deny-warnings"]);
    assert_eq!(checked.code, Some(0), "{}", checked.out);
}

#[test]
fn the_packages_of_this_repository_have_no_warnings() {
    let plugins = workspace().join("plugins");
    let packages = fs::read_dir(&plugins).expect("the packages").map(|entry| entry.expect("an entry").path());
    for package in packages.filter(|path| path.join("plugin.yaml").is_file()) {
        let checked = check(&package, &["--deny-warnings"]);
        assert_eq!(checked.code, Some(0), "{}: {}", package.display(), checked.out);
    }
}

/// After a build that failed, `check` was happy with the files of the one before.
#[test]
fn artefacts_that_are_older_than_their_sources_are_reported() {
    let folder = Folder::new();
    let package = folder.copy(&fixture("contract-0.1.0"));
    let old = SystemTime::now() - Duration::from_secs(60);
    for name in ["forks.bpf.o", "forks.wasm"] {
        let file = fs::File::options().append(true).open(package.join(name)).expect("our own file");
        file.set_modified(old).expect("our own file");
    }
    for name in ["forks.bpf.c", "component.c"] {
        fs::write(package.join(name), "").expect("our own file");
    }
    assert_eq!(check(&package, &["--deny-warnings"]).code, Some(0), "nothing says how it is built");
    fs::write(package.join("build.sh"), "").expect("our own file");
    let checked = check(&package, &[]);
    for (artefact, source) in [("forks.bpf.o", "forks.bpf.c"), ("forks.wasm", "component.c")] {
        let says = format!("{artefact}: is older than ./{source}: the last build failed, or there was none");
        assert!(checked.code == Some(0) && checked.out.contains(&says), "`{says}` in {}", checked.out);
    }
    assert_eq!(check(&package, &["--deny-warnings"]).code, Some(1));
}

#[test]
fn slips_are_answered_with_the_name_that_was_meant() {
    let folder = Folder::new();
    for (from, to, says) in [
        ("programs: [block_rq_complete,", "programs: [block_rq_completed,", "did you mean `block_rq_complete`?"),
        ("targ_queued: $queued", "targ_qeued: $queued", "did you mean `targ_queued`?"),
        ("banks: $banks per cpu", "bnaks: $banks per cpu", "did you mean `banks`?"),
    ] {
        let package = folder.path().join("biolatency");
        let _ = fs::remove_dir_all(&package);
        folder.add("biolatency");
        folder.amend("biolatency", from, to);
        let checked = check(&package, &[]);
        assert!(checked.code == Some(1) && checked.out.contains(says), "{says}: {}", checked.out);
    }
    needs!(Tool("clang-19"));
    let (_folder, package) = with_program("SEC(\"tracepiont/sched/sched_switch\") int p(void *ctx) { return 0; }\n");
    let checked = check(&package, &[]);
    let finding = "expected one of tp_btf/NAME";
    assert!(checked.out.contains(finding) && checked.out.contains("did you mean `tracepoint`?"), "{}", checked.out);
    assert!(checked.out.contains("fix: correct the program's `SEC("), "{}", checked.out);
}

#[test]
fn a_size_that_differs_names_the_types_of_the_program() {
    let folder = Folder::new();
    let package = folder.path().join("p");
    fs::create_dir(&package).expect("our own folder");
    for (from, to) in [("mistaken/mistaken.wasm", "mistaken.wasm"), ("contract-0.1.0/forks.bpf.o", "forks.bpf.o")] {
        fs::copy(fixture(from), package.join(to)).expect("our own folder");
    }
    let yaml = "name: p\ncomponent: mistaken.wasm\nbpf: { object: forks.bpf.o }\nconfig: { mistake: key-size }\n";
    fs::write(package.join("plugin.yaml"), yaml).expect("our own file");
    let checked = check(&package, &[]);
    let says = "found key-size 24, expected 20, as the map has it; in the program its key is `struct key`";
    assert!(checked.out.contains(says), "{}", checked.out);
}

/// Everything in which options, globals, sizes and the other parts of a plugin.yaml can disagree with the object and each other.
#[test]
fn options_globals_and_sizes_that_disagree_are_found_before_somebody_chooses_them() {
    const OPTION: &str = "options:\n";
    let option = |text: &str| format!("options:\n{text}");
    let cases = [
        // An option's own values.
        ("banks_spill: $spill\n", "banks_spill: $spil\n", "error", "found `$spil`, expected an option of this package"),
        (
            OPTION,
            &option("  idle: { type: bool, default: false, help: h }\n"),
            "warning",
            "nothing depends on the option `idle`",
        ),
        ("    max: 1000000\n", "    max: 5000000000\n", "error", "with --set plugins.biolatency.spill=5000000000: "),
        ("    max: 1000000\n", "", "warning", "with --set plugins.biolatency.spill=9223372036854775807: "),
        ("    default: 8192\n", "    default: 0\n", "error", "expected a whole number from 1 to 1000000"),
        // Options and globals.
        (
            "targ_queued: $queued",
            "targ_queued: $banks",
            "error",
            "global `targ_queued` is a bool (true or false), found `128`",
        ),
        (
            "targ_parts: $parts",
            "targ_parts: $native",
            "error",
            "global `targ_parts` is an unsigned number of 4 bytes, found `false`",
        ),
        (
            "targ_parts: $parts",
            "targ_parts: $keep",
            "error",
            "global `targ_parts` is an unsigned number of 4 bytes, found `120000000000`",
        ),
        (
            "true: { max_entries: { banks: 1,",
            "true: { globals: { targ_nativ: true }, max_entries: { banks: 1,",
            "error",
            "with --set plugins.biolatency.native=true: ./biolatency.bpf.o: has no global `targ_nativ`",
        ),
        // Options and maps.
        (
            "natives: $banks per cpu, banks_spill: 1,",
            "nativ: $banks per cpu, banks_spill: 1,",
            "error",
            "with --set plugins.biolatency.native=true: ./biolatency.bpf.o: has no map `nativ`",
        ),
        ("    parts: $parts\n", "    parts: $disks\n", "error", "plugin.yaml"),
        // Options and the component.
        ("  paths: $paths\n", "  path: $paths\n", "error", "unknown field `path`"),
        // Maps that other keys name.
        (
            "  max_entries:",
            "  delete_departed: [bank]\n  max_entries:",
            "error",
            "has no map `bank`, which `delete_departed` in plugin.yaml names",
        ),
        (
            "  max_entries:",
            "  cgroup_id_map: { name: cgroups, regexps: [a] }\n  max_entries:",
            "error",
            "has no map `cgroups`, which `cgroup_id_map` in plugin.yaml names",
        ),
        (
            "\nconfig:",
            "\nperf: { s: { events: [software/cpu-clock], maps: [banks_spill] } }\nconfig:",
            "error",
            "map `banks_spill` is no perf event array, which `perf` in plugin.yaml fills",
        ),
        (
            "\nconfig:",
            "\nperf: { s: { events: [software/cpu-clock], frequency: 9, program: sample } }\nconfig:",
            "error",
            "has no program `sample`",
        ),
    ];
    let folder = Folder::new();
    for (from, to, severity, says) in cases {
        let package = folder.path().join("biolatency");
        let _ = fs::remove_dir_all(&package);
        folder.add("biolatency");
        folder.amend("biolatency", from, to);
        let checked = check(&package, &[]);
        let is_found = checked.out.lines().any(|line| line.starts_with(severity) && line.contains(says));
        assert!(is_found, "{to}: expected {severity} `{says}` in {}{}", checked.out, checked.err);
        assert_eq!(checked.code, Some(i32::from(severity == "error")), "{to}: {}", checked.out);
    }
}

/// The kernel's answer was "Invalid argument (22)", the same as to a user without privileges.
#[test]
fn sizes_that_a_map_cannot_have_are_refused_with_the_rule() {
    needs!(Root, Tool("clang-19"), Tool("cargo"));
    let (_folder, package) = runqlat();
    edit(&package.join("plugin.yaml"), "waits: 256 per cpu,", "waits: 256 per cpu, queued: 100,");
    let checked = check(&package, &[]);
    let says = "map `queued` is storage of tasks, sockets, inodes or cgroups, which has no size";
    assert!(checked.code == Some(1) && checked.out.contains(says), "{}", checked.out);
    let ran = ebhost(&["run", ".", "--for", "1s"], &package);
    assert!(ran.code == Some(2) && ran.err.contains(says), "{}", ran.err);

    let ring = "struct { int (*type)[27]; int (*max_entries)[4096]; } ring SEC(\".maps\");\nu64 ring_lost;\n\
                SEC(\"raw_tp/sched_switch\") int p(void *ctx) { return 0; }\n";
    let (_folder, package) = with_program(ring);
    edit(&package.join("plugin.yaml"), "object: p.bpf.o", "object: p.bpf.o, max_entries: { ring: 5000 }");
    let checked = check(&package, &[]);
    let says = "map `ring` is a ring buffer, found `max_entries: 5000` for it in plugin.yaml, expected its bytes: a power of two, 4096 or more, such as 8192";
    assert!(checked.code == Some(1) && checked.out.contains(says), "{}", checked.out);
}

/// Without bpftool and tracefs the order of a tracepoint's arguments had to be read from raw BTF.
#[test]
fn a_tracepoint_is_printed_as_a_program_that_compiles() {
    needs!(Root, Tool("clang-19"), File("/sys/kernel/btf/vmlinux"));
    let folder = Folder::new();
    let shown = ebhost(&["tracepoint", "sched:sched_switch"], folder.path());
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let typed = "TP_BTF(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next";
    assert!(shown.out.contains(typed), "{}", shown.out);
    assert_eq!(ebhost(&["new", "p"], folder.path()).code, Some(0));
    let package = folder.path().join("p");
    let more = ebhost(&["tracepoint", "block_rq_complete", "sched_process_exec"], folder.path());
    assert_eq!(more.code, Some(0), "{}", more.err);
    let source = format!("{}\n{}\nchar LICENSE[] SEC(\"license\") = \"GPL\";\n", shown.out, more.out);
    fs::write(package.join("p.bpf.c"), &source).expect("our own file");
    let built = output(Command::new("./build-bpf.sh").current_dir(&package));
    assert!(package.join("p.bpf.o").exists(), "{built}\n{source}");
    let unknown = ebhost(&["tracepoint", "sched_swich"], folder.path());
    assert!(unknown.code == Some(2) && unknown.err.contains("did you mean `sched_switch`?"), "{}", unknown.err);
}

#[test]
fn a_packed_package_holds_what_a_host_reads_and_nothing_else() {
    needs!(Tool("tar"), Tool("sha256sum"), Tool("clang-19"), Tool("cargo"));
    let (folder, package) = runqlat();
    edit(&package.join("plugin.yaml"), "name: runqlat\n", "name: runqlat\nversion: \"1.2.0\"\nlicense: Apache-2.0\n");
    fs::write(package.join("LICENSE"), "all\n").expect("our own file");
    let packed = ebhost(&["pack", "runqlat"], folder.path());
    assert_eq!(packed.code, Some(0), "{}{}", packed.out, packed.err);
    assert!(packed.out.contains("license Apache-2.0\n"), "{}", packed.out);
    let archive = folder.path().join("runqlat-1.2.0.tar.gz");
    let listed = output(Command::new("tar").arg("tzf").arg(&archive));
    assert_eq!(listed, "runqlat/plugin.yaml\nrunqlat/runqlat.wasm\nrunqlat/runqlat.bpf.o\nrunqlat/LICENSE\n");
    let first = fs::read(&archive).expect("it was written");
    assert_eq!(ebhost(&["pack", "runqlat", "-o", "again.tar.gz"], folder.path()).code, Some(0));
    assert!(
        fs::read(folder.path().join("again.tar.gz")).expect("it was written") == first,
        "the same files, the same bytes"
    );

    let plugins = Folder::new();
    output(Command::new("tar").arg("xzf").arg(&archive).current_dir(plugins.path()));
    let files = ["runqlat/plugin.yaml", "runqlat/runqlat.wasm", "runqlat/runqlat.bpf.o"];
    let pins = output(Command::new("sha256sum").args(files).current_dir(plugins.path()));
    assert!(packed.out.ends_with(&pins), "{}\n{pins}", packed.out);
    assert_eq!(ebhost(&["check", "runqlat"], plugins.path()).code, Some(0));

    edit(&package.join("plugin.yaml"), "  object: runqlat.bpf.o\n", "  object: runqlat.bpf.o\n  programs: [gone]\n");
    let refused = ebhost(&["pack", "runqlat"], folder.path());
    assert!(refused.code == Some(2) && refused.err.contains("does not load, so it is not packed"), "{}", refused.err);
}
