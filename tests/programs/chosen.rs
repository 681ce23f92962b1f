//! Programs that are chosen by `programs:` in plugin.yaml, of an object that has others which nobody could load.

use std::fs;

use ebhost_tests::{Folder, Start, alone, compile, needs};

/// One program that counts system calls of this process, one in a section that nobody knows, and one with a map that is not one.
fn source() -> String {
    let (number, process) = (libc::SYS_getpgid, std::process::id());
    format!(
        "
HASH(calls, u32, u64);
static void *(*lookup)(void *map, const void *key) = (void *)1;
static long (*update)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*pid_tgid)(void) = (void *)14;
SEC(\"raw_tp/sys_enter\") int chosen(u64 *ctx)
{{
    u32 key = 7;
    u64 one = 1, *count = lookup(&calls, &key);
    if (ctx[1] != {number} || pid_tgid() >> 32 != {process})
        return 0;
    if (count)
        __sync_fetch_and_add(count, 1);
    else
        update(&calls, &key, &one, 0);
    return 0;
}}
SEC(\"of_tomorrow/block\") int unknown(u64 *ctx) {{ return 0; }}
SEC(\"raw_tp/no_such_tracepoint\") int absent(u64 *ctx) {{ return *(int *)ctx[0]; }}
"
    )
}

const PACKAGE: &str = "
name: chosen
component: builtin
bpf: { object: chosen.bpf.o, programs: [chosen] }
config:
  metrics:
    counters: [{ name: calls_total, help: Calls., map: calls, labels: [{ name: id, size: 4, decoders: [{ name: uint }] }] }]
";

/// Starts a host, in which `chosen` must be the only program, and count.
fn assert_chosen_alone_counts(folder: &Folder) {
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    (0..12).for_each(|_| _ = rustix::process::getpgid(None));
    let served = host.scrape();
    assert_eq!(served.value("ebhost_calls_total", &[("id", "7")]), Some(12.0));
    let attached = &served.families["ebhost_program_attached"].samples;
    let programs: Vec<_> = attached.iter().map(|sample| (sample.labels["program"].as_str(), sample.value)).collect();
    assert_eq!(programs, [("chosen", 1.0)]);
    host.stop();
}

/// A section of another program cost the object.
#[test]
fn programs_that_were_not_chosen_cost_nothing() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = Folder::new();
    let package = folder.path().join("chosen");
    fs::create_dir(&package).expect("a folder in our own");
    compile(&source(), "bpf", &package.join("chosen.bpf.o"));
    fs::write(package.join("plugin.yaml"), PACKAGE).expect("our own folder");
    assert_chosen_alone_counts(&folder);
    // Without a choice they cost the object, and the message says which.
    fs::write(package.join("plugin.yaml"), PACKAGE.replace(", programs: [chosen]", "")).expect("our own folder");
    let ended = Start::with(folder.path()).args(&["--strict"]).ended();
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.log.text().contains("program `unknown` is in section `of_tomorrow/block`"), "{}", ended.log.text());
}

/// A package for one kernel's function failed on every other kernel, though another hook would have done.
#[test]
fn of_alternatives_the_first_one_that_the_kernel_has_is_attached() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = Folder::new();
    let package = folder.path().join("chosen");
    fs::create_dir(&package).expect("a folder in our own");
    let source = source().replace("SEC(\"of_tomorrow/block\") int unknown(u64 *ctx) { return 0; }\n", "");
    compile(&source, "bpf", &package.join("chosen.bpf.o"));
    fs::write(package.join("plugin.yaml"), PACKAGE.replace("[chosen]", "[[absent, chosen]]")).expect("our own folder");
    assert_chosen_alone_counts(&folder);
    // When there is none, the message has the reason of each.
    fs::write(package.join("plugin.yaml"), PACKAGE.replace("[chosen]", "[[absent, absent]]")).expect("our own folder");
    let ended = Start::with(folder.path()).args(&["--strict"]).ended();
    assert_eq!(ended.status.code(), Some(1));
    let log = ended.log.text();
    assert!(log.contains("none of the alternatives in `programs` can be attached: "), "{log}");
    assert!(log.matches("program `absent`").count() >= 2, "{log}");
}
