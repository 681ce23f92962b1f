//! A program of every type, on kernels that have what this machine's lacks: kernel functions (kprobe, fentry, LSM and
//! the like). Each program counts what a process does, or is left out because the kernel is too old for it, and for no
//! other reason.

use std::path::Path;

use ebhost_tests::{
    Folder,
    everything::{HOPELESS, Marks, Slots, doer, expected_everywhere, left_out, write_package},
    needs,
};

use crate::guest::{Console, Guest};

/// The number of each operation in the virtual machine, as in programs-init.
const COUNT: u64 = 20;

/// Programs at the entry and return of functions, which need 6.10 and 6.13.
const SESSIONS: [&str; 2] = ["on_kprobe_session", "on_uprobe_session"];

/// Boots the newest kernel of a series. `absent`: the programs that this kernel does not accept, besides those that
/// none accepts.
fn programs_count_on(line: &str, absent: &[&str]) {
    let guest = Guest::x86(line, "programs-init");
    guest.put_ebhost();
    guest.put_program(&doer(), "ebhostdo");
    guest.put_kernel_config();
    let folder = Folder::new();
    let marks = Marks { name: "ebhostdo".to_owned(), port: 39_123 };
    write_package(&folder.path().join("everything"), Path::new("/bin/ebhostdo"), &marks);
    guest.put(folder.path(), "plugins/programs");
    let console = guest.boot();
    assert!(console.section("release").starts_with(line), "{}", console.section("release"));
    counts(&console, absent);
}

fn counts(console: &Console, absent: &[&str]) {
    let served = console.served("metrics");
    let log = console.section("log programs");
    let mut expected: Vec<_> = HOPELESS.iter().map(|(program, _)| *program).chain(absent.iter().copied()).collect();
    expected.sort_unstable();
    let out = left_out(&served);
    assert_eq!(out.iter().map(|(program, _)| program.as_str()).collect::<Vec<_>>(), expected, "{log}");

    let slots = Slots::of(&served);
    let has = |program: &str| !absent.contains(&program);
    let everywhere = expected_everywhere(COUNT).into_iter();
    slots.assert(&everywhere.filter(|(slot, _)| has("on_usdt") || !slot.starts_with("USDT")).collect::<Vec<_>>());
    let functions = [
        ("on_kprobe", "KPROBE"),
        ("on_kretprobe", "KRETPROBE"),
        ("on_system_call", "KSYSCALL"),
        ("on_kprobes", "KPROBES"),
        ("on_kretprobes", "KRETPROBES"),
        ("on_entry", "FENTRY"),
        ("on_exit", "FEXIT"),
        ("on_return", "FMOD_RET"),
        ("on_lsm", "LSM"),
        ("on_lsm_sleepable", "LSM_SLEEPABLE"),
        ("on_ingress", "TC_INGRESS"),
        ("on_egress", "TC_EGRESS"),
        ("calls_the_kernel", "KERNEL_FUNCTION"),
    ];
    slots.assert(&functions.map(|(program, slot)| (slot, if has(program) { COUNT } else { 0 })));
    // Once at the entry and once at the return.
    let sessions = [("on_kprobe_session", "KPROBE_SESSION"), ("on_uprobe_session", "UPROBE_SESSION")];
    slots.assert(&sessions.map(|(program, slot)| (slot, if has(program) { 2 * COUNT } else { 0 })));
    assert_eq!(slots.get("TYPED_SYMBOL") >= COUNT, has("reads_a_typed_symbol"));
    assert!(slots.get("SAMPLES") >= COUNT, "{}", slots.get("SAMPLES"));
    assert_eq!(slots.get("ITERATOR"), 1, "one scrape, one process of that name");
    assert_eq!(slots.get("SYMBOL"), slots.get("KADDR"));
    assert_ne!(slots.get("SYMBOL"), 0);
    assert_eq!(slots.get("TIMER_FREQUENCY"), 250);
    let said = format!("semaphore {}\nrefused {COUNT}\n", u8::from(has("on_usdt")));
    assert!(console.section("doer").starts_with(&said), "{}", console.section("doer"));
}

#[test]
fn programs_count_on_5_10() {
    needs!(Guest, Tool("clang-19"));
    let later = ["on_ingress", "on_egress", "calls_the_kernel", "on_kprobes", "on_kretprobes", "on_usdt"];
    programs_count_on("5.10", &[&later[..], &SESSIONS, &["on_lsm_sleepable", "reads_a_typed_symbol"]].concat());
}

#[test]
fn programs_count_on_6_1() {
    needs!(Guest, Tool("clang-19"));
    // The first two need 6.6, the third 6.2; Debian enabled the last two only in later kernels.
    let later = ["on_ingress", "on_egress", "calls_the_kernel", "on_kprobes", "on_kretprobes"];
    programs_count_on("6.1", &[&later[..], &SESSIONS].concat());
}

#[test]
fn programs_count_on_6_12() {
    needs!(Guest, Tool("clang-19"));
    // Needs 6.13.
    programs_count_on("6.12", &["on_uprobe_session"]);
}
