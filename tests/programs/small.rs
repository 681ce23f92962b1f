//! Small objects, each for one thing that libbpf's loader does, as drop-in configurations on this machine's kernel.

use std::{fs, process::Command};

use ebhost_tests::{
    Folder, Start, alone, debian,
    everything::{Doer, Marks, doer},
    needs, output,
    small::{CLANG_19, Compiler, KERNEL_FUNCTIONS, SMALL, Small, USDT_ARGS, left_out},
};

const COUNT: u64 = 20;

#[test]
fn objects_that_libbpf_loads_count_here() {
    needs!(Root, Tool("clang-19"), Tool("apt-get"), Tool("dpkg-deb"));
    let (folder, marks) = (Folder::new(), Marks::own());
    let all: Vec<Small> = SMALL.into_iter().chain([USDT_ARGS, KERNEL_FUNCTIONS]).collect();
    all.iter().for_each(|small| small.write(folder.path(), &doer(), &marks));
    assert_counts(&folder, &all.iter().map(|small| (small.name, *small)).collect::<Vec<_>>(), &marks);
}

/// The same source by other compilers, for each version of the instruction set.
#[test]
fn objects_of_every_compiler_count() {
    needs!(Root, Tool("clang-19"), Tool("clang-14"), Tool("bpf-gcc"));
    let (folder, marks) = (Folder::new(), Marks::own());
    let [.., built] = SMALL;
    let by = |program, args| Compiler { program, args };
    let compilers = [
        ("clang_19_v1", by("clang-19", &["-target", "bpf", "-g", "-mcpu=v1"])),
        ("clang_19_v2", by("clang-19", &["-target", "bpf", "-g", "-mcpu=v2"])),
        ("clang_19_v3", CLANG_19),
        ("clang_19_v4", by("clang-19", &["-target", "bpf", "-g", "-mcpu=v4"])),
        ("clang_14_v1", by("clang-14", &["-target", "bpf", "-g", "-mcpu=v1"])),
        ("clang_14_v2", by("clang-14", &["-target", "bpf", "-g", "-mcpu=v2"])),
        ("clang_14_v3", by("clang-14", &["-target", "bpf", "-g", "-mcpu=v3"])),
        ("gcc_v3", by("bpf-gcc", &["-gbtf", "-mcpu=v3"])),
    ];
    for (name, compiler) in compilers {
        compiler.compile(built.name, &folder.path().join(format!("{name}.bpf.o")), &doer(), &marks);
        built.write_configuration(folder.path(), name);
        // Two configurations may not have a metric of one name.
        assert_counts(&folder, &[(name, built)], &marks);
    }
}

/// `bpftool gen object` links two files: a function and a map of the other one, and types without duplicates.
#[test]
fn an_object_that_bpftool_linked_from_two_files_counts() {
    needs!(Root, Tool("clang-19"), Tool("apt-get"), Tool("dpkg-deb"));
    let (folder, marks) = (Folder::new(), Marks::own());
    let path = |name: &str| folder.path().join(name);
    for part in ["part_a", "part_b"] {
        CLANG_19.compile(part, &path(&format!("{part}.o")), &doer(), &marks);
    }
    let files = ["linked.bpf.o", "part_a.o", "part_b.o"].map(path);
    output(debian::LIBBPF.command("usr/sbin/bpftool").args(["gen", "object"]).args(files));
    let linked = Small {
        name: "linked",
        maps: &["linked"],
        counts: |n| vec![("linked", 0, 4 * n), ("linked", 1, n)],
        unplaced: &[],
    };
    linked.write_configuration(folder.path(), "linked");
    assert_counts(&folder, &[("linked", linked)], &marks);
}

/// Serves these configurations, and compares what they count with what the process does.
fn assert_counts(folder: &Folder, all: &[(&str, Small)], marks: &Marks) {
    let _alone = alone();
    let names: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    let host = Start::drop_ins(folder.path(), &names.join(",")).listening();
    let doing = Doer::run(COUNT, marks);
    let served = host.scrape();
    let log = host.stop();
    drop(doing);
    for (name, small) in all {
        assert_eq!(small.wrong(&served, COUNT), Vec::<String>::new(), "{name}: {}", log.text());
        let mut expected: Vec<_> =
            small.unplaced.iter().map(|name| ((*name).to_owned(), "no_target".to_owned())).collect();
        let mut out = left_out(&served, name);
        out.sort();
        expected.sort();
        assert_eq!(out, expected, "{name}: {}", log.text());
        if small.name == "versions" {
            let version = served.value("ebpf_exporter_versions", &[("slot", "1")]);
            assert_eq!(version, Some((COUNT * version_code()) as f64));
        }
    }
}

/// The version that the kernel was built as: `uname -r`, which on this machine has the patch level.
fn version_code() -> u64 {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel says its release");
    let numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u64>().unwrap_or(0));
    numbers.take(3).zip([16, 8, 0]).map(|(number, shift)| number.min(255) << shift).sum()
}

/// Reasons are true: a program that the kernel refuses to root with all capabilities is not told to be root.
#[test]
fn root_is_not_told_to_be_root() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (folder, marks) = (Folder::new(), Marks::own());
    let functions = Small { name: "functions", maps: &["functions"], counts: |_| Vec::new(), unplaced: &[] };
    functions.write(folder.path(), &doer(), &marks);
    let host = Start::drop_ins(folder.path(), "functions").listening();
    let served = host.scrape();
    let log = host.stop();
    let out = left_out(&served, "functions");
    if let Some((_, reason)) = out.iter().find(|(program, _)| program == "on_entry") {
        assert_eq!(reason, "denied", "{}", log.text());
        assert!(log.text().contains("all rights are there"), "{}", log.text());
    }
    assert!(!log.text().contains("expected root"), "{}", log.text());
}

/// A table without `max_entries`, a static map: refused by name, with what to do.
#[test]
fn maps_that_libbpf_refuses_are_refused_by_name() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = Folder::new();
    let program = "SEC(\"raw_tp/sys_enter\") int on_enter(void *ctx) { return 0; }";
    let table = "struct { int (*type)[1]; u32 *key; u64 *value; }";
    for (name, source) in [
        ("unsized", format!("{table} unsized SEC(\".maps\"); {program}")),
        ("fixed", format!("static {table} fixed SEC(\".maps\"); {program}")),
    ] {
        ebhost_tests::compile(&source, "bpf", &folder.path().join(format!("{name}.bpf.o")));
        let map = Small { name: "unsized", maps: &["unsized"], counts: |_| Vec::new(), unplaced: &[] };
        map.write_configuration(folder.path(), name);
    }
    let log = Start::drop_ins(folder.path(), "unsized,fixed").listening().stop();
    for message in [
        "map `unsized` has no `max_entries`: its loader is to set them",
        "map `fixed` is static, which cannot be told from other maps; make it global",
    ] {
        assert!(log.text().contains(message), "{message}: {}", log.text());
    }
}

/// Programs that bpftool loads are loaded, and attached where bpftool attaches them.
#[test]
fn bpftool_loads_the_same_objects() {
    needs!(Root, Tool("clang-19"), Tool("apt-get"), Tool("dpkg-deb"), Tool("unshare"), Tool("mount"));
    let (folder, marks) = (Folder::new(), Marks::own());
    for small in SMALL.iter().filter(|small| small.name != "optional") {
        let object = folder.path().join(format!("{}.bpf.o", small.name));
        CLANG_19.compile(small.name, &object, &doer(), &marks);
        let command = debian::LIBBPF.command("usr/sbin/bpftool");
        let mut words = vec![command.get_program().to_owned()];
        words.extend(command.get_args().map(std::ffi::OsStr::to_owned));
        let mounted = "mount -t bpf bpf /sys/fs/bpf && exec \"$0\" \"$@\"";
        output(
            Command::new("unshare")
                .args(["--mount", "sh", "-c", mounted])
                .args(words)
                .args(["prog", "loadall"])
                .arg(&object)
                .arg("/sys/fs/bpf/x"),
        );
    }
}

/// A key's value is what the program wrote, though it falls: the peer shows it so.
#[test]
fn values_that_a_program_sets_lower_are_shown_as_they_are() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (folder, marks) = (Folder::new(), Marks::own());
    let set = Small { name: "set_values", maps: &["set_values"], counts: |_| Vec::new(), unplaced: &[] };
    set.write(folder.path(), &doer(), &marks);
    fs::write("/proc/thread-self/comm", &marks.name).expect("our own name");
    let host = Start::drop_ins(folder.path(), "set_values").listening();
    let value = || host.scrape().value("ebpf_exporter_set_values", &[("slot", "0")]);
    for _ in 0..2 {
        let _ = rustix::process::getppid();
        assert_eq!(value(), Some(100.0));
        let _ = rustix::process::getpgid(None);
        assert_eq!(value(), Some(40.0));
    }
    host.stop();
}

/// A program of a perf event that this machine does not have is not attached, and strictly it costs the start.
#[test]
fn a_program_whose_perf_event_is_open_nowhere_is_not_attached() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = Folder::new();
    // An event of the type `software` with a number that no kernel has.
    let source = "SEC(\"perf_event/type=1,config=9999,frequency=99\") int on_sample(void *ctx) { return 0; }
        struct { int (*type)[2]; int (*max_entries)[4]; u32 *key; u64 *value; } sampled SEC(\".maps\");";
    ebhost_tests::compile(source, "bpf", &folder.path().join("sampled.bpf.o"));
    let small = Small { name: "sampled", maps: &["sampled"], counts: |_| Vec::new(), unplaced: &[] };
    small.write_configuration(folder.path(), "sampled");
    let host = Start::drop_ins(folder.path(), "sampled").listening();
    assert_eq!(left_out(&host.scrape(), "sampled"), [("on_sample".to_owned(), "attach".to_owned())]);
    let log = host.stop();
    assert!(log.text().contains("its event is open on no CPU"), "{}", log.text());
    let ended = Start::drop_ins(folder.path(), "sampled").args(&["--config.strict"]).ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log.text());
}
