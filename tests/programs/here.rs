//! Programs of every type on this machine's kernel.

use std::fs;

use ebhost_tests::{
    Ebhost, Folder, alone,
    everything::{Doer, HOPELESS, Marks, Slots, doer, expected_everywhere, left_out, write_package},
    needs,
};

const COUNT: u64 = 20;

#[test]
fn every_type_of_program_counts() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (folder, marks) = (Folder::new(), Marks::own());
    write_package(&folder.path().join("everything"), &doer(), &marks);
    let host = Ebhost::start(folder.path());
    let doing = Doer::run(COUNT, &marks);
    let served = host.scrape();
    let out = left_out(&served);
    let slots = Slots::of(&served);
    let is_out = |program: &str| out.iter().any(|(name, _)| name == program);

    slots.assert(&expected_everywhere(COUNT));
    for (program, slot) in
        [("on_ingress", "TC_INGRESS"), ("on_egress", "TC_EGRESS"), ("calls_the_kernel", "KERNEL_FUNCTION")]
    {
        // Since Linux 6.6 and 6.2.
        assert!(!is_out(program) || release() < (6, 6), "{program} is left out: {out:?}");
        slots.assert(&[(slot, if is_out(program) { 0 } else { COUNT })]);
    }
    // Since Linux 6.13. It runs at the entry and at the return.
    assert!(!is_out("on_uprobe_session") || release() < (6, 13), "{out:?}");
    slots.assert(&[("UPROBE_SESSION", if is_out("on_uprobe_session") { 0 } else { 2 * COUNT })]);
    // A per-CPU variable, which kernels without data symbols in kallsyms do not show.
    assert_eq!(slots.get("TYPED_SYMBOL") >= COUNT, !is_out("reads_a_typed_symbol"), "{out:?}");
    assert!(slots.get("SAMPLES") >= COUNT, "so many pages were touched: {}", slots.get("SAMPLES"));
    assert_eq!(doing.semaphore, 1, "the probe's semaphore is raised");
    // Programs with a pattern of functions: on new kernels each has one link for all functions.
    let many = if release() >= (6, 6) { 3 - usize::from(is_out("on_uprobe_session")) } else { 0 };
    assert_eq!(links(host.pid(), &["uprobe_multi", "uretprobe_multi"]), many);
    assert_eq!(doing.refused, COUNT, "the number that the program writes is the result of the system call");

    assert_eq!(slots.get("KERNEL_VERSION"), version_code());
    let (first, second) = (slots.get("SYMBOL"), slots.get("KADDR"));
    assert_eq!((first, second), (kallsyms("schedule") & 0xffff_ffff, first));

    let key = [("id", "7"), ("group", "1"), ("kind", "open")];
    for (map, labels) in [
        ("hash", &key[..]),
        ("lru", &key),
        ("per_cpu_hash", &key),
        ("per_cpu_array", &[("slot", "5")]),
        ("mapped_array", &[("slot", "5")]),
    ] {
        assert_eq!(served.value(&format!("ebhost_{map}_calls_total"), labels), Some(COUNT as f64), "{map}");
    }

    // An iterator runs once a scrape, over the one process of that name.
    let before = slots.get("ITERATOR");
    let served = host.scrape();
    assert_eq!(Slots::of(&served).get("ITERATOR"), before + 1);
    assert_eq!(Slots::of(&served).get("MARK"), 1);
    drop(doing);
    let after = Slots::of(&served).get("ITERATOR");
    assert_eq!(Slots::of(&host.scrape()).get("ITERATOR"), after);

    // Programs that cannot run are left out with their reason, and no others.
    for (program, reason) in HOPELESS {
        assert!(out.contains(&(program.to_owned(), reason.to_owned())), "{program} {reason}: {out:?}");
    }
    let functions = [
        "on_entry",
        "on_exit",
        "on_kprobe",
        "on_kprobe_session",
        "on_kprobes",
        "on_kretprobe",
        "on_kretprobes",
        "on_lsm",
        "on_lsm_sleepable",
        "on_return",
        "on_system_call",
        "reads_a_typed_symbol",
        "on_ingress",
        "on_egress",
        "calls_the_kernel",
        "on_uprobe_session",
    ];
    let hopeless = |name: &str| HOPELESS.iter().any(|(program, _)| *program == name);
    let unexpected: Vec<_> =
        out.iter().filter(|(name, _)| !hopeless(name) && !functions.contains(&name.as_str())).collect();
    assert!(unexpected.is_empty(), "{unexpected:?}");
    let status = host.get("/status", &[]);
    for part in [
        "section `nonsense/x`, which is not known",
        "expected `xdp/INTERFACE`",
        "verifier refuses program `reads_anywhere`",
    ] {
        assert!(status.text().contains(part), "{part}: {}", status.text());
    }
    let log = host.stop();
    let warned =
        log.lines().iter().filter(|line| line.field("message").to_string().contains("program is left out")).count();
    assert_eq!(warned, out.len(), "{}", log.text());
}

/// Links of these types that a process holds.
fn links(pid: u32, types: &[&str]) -> usize {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo")).expect("it runs").flatten();
    let infos = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let is_one = |line: &str| line.strip_prefix("link_type:").is_some_and(|found| types.contains(&found.trim()));
    infos.filter(|info| info.lines().any(is_one)).count()
}

fn release() -> (u64, u64) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel says its release");
    let mut numbers = text.split(['.', '-']).map(|part| part.trim().parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn version_code() -> u64 {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").expect("the kernel says its release");
    let numbers = text.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse::<u64>().unwrap_or(0));
    numbers.take(3).zip([16, 8, 0]).map(|(number, shift)| number.min(255) << shift).sum()
}

fn kallsyms(symbol: &str) -> u64 {
    let text = fs::read_to_string("/proc/kallsyms").expect("root may read it");
    let line = text.lines().find(|line| line.split_whitespace().nth(2) == Some(symbol)).expect("the symbol is there");
    u64::from_str_radix(line.split_whitespace().next().expect("an address"), 16).expect("a number")
}
