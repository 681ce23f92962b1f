//! A PMU that counts, in an arm64 virtual machine: QEMU counts cycles and instructions there; it has no cache to count.

use std::{
    env,
    io::{self, Write},
    path::Path,
};

use ebhost_tests::{Exposition, Folder, llcstat, needs};

use crate::guest::Guest;

/// Runs only if EBHOST_ARM64 names a statically linked ebhost for arm64. `cargo xtask arm64` builds it and runs this
/// test. That takes a quarter of an hour of CPU time, too much for every run of the tests. The binary can be reused:
///
///     EBHOST_ARM64=$PWD/target/arm64/aarch64-unknown-linux-gnu/release/ebhost \
///         cargo test --release --workspace --test guest -- arm::
#[test]
fn cycles_and_instructions_are_live_and_cache_misses_absent() {
    let Some(ebhost) = env::var_os("EBHOST_ARM64") else {
        // Not skip(): CI skips this test and must not fail. Not eprintln, whose output is hidden when a test passes.
        let test = "cycles_and_instructions_are_live_and_cache_misses_absent";
        let _ = writeln!(io::stderr(), "skipped: {test} needs EBHOST_ARM64, an ebhost for arm64: cargo xtask arm64");
        return;
    };
    needs!(ArmGuest);
    let guest = Guest::arm("6.1", "pmu-init");
    guest.put(Path::new(&ebhost), "bin/ebhost");
    let folder = Folder::new();
    let sections = "perf:\n  llc: { events: [hardware/cycles, hardware/instructions] }\n  \
                    cache: { events: [hardware/cache-misses] }\n  \
                    named: { events: [armv8_pmuv3/cpu_cycles] }\nconfig: { names: [cycles, instructions] }\n";
    llcstat::add(folder.path(), "llcstat", sections);
    guest.put(folder.path(), "plugins/pmu");
    let console = guest.boot();
    let [first, last] = ["first", "last"].map(|section| console.served(section));
    for served in [&first, &last] {
        assert_eq!(state(served, "hardware/cycles"), "live");
        assert_eq!(state(served, "hardware/instructions"), "live");
        assert_eq!(state(served, "armv8_pmuv3/cpu_cycles"), "live");
        assert_eq!(state(served, "hardware/cache-misses"), "absent");
    }
    // The scrapes are known to hundredths of a second. In QEMU a cycle takes a nanosecond, asleep or not, and an
    // instruction two.
    let at = |section| console.numbers(section)[0];
    let (least, most) = (at("before the last") - at("after the first"), at("after the last") - at("before the first"));
    let grown = |name| {
        let value = |served: &Exposition| served.value(name, &[("cpu", "0")]).expect("a live event has a series");
        value(&last) - value(&first)
    };
    let (cycles, instructions) = (grown("ebhost_cycles_total"), grown("ebhost_instructions_total"));
    assert!(cycles >= (least - 0.02) * 1e9 && cycles <= (most + 0.02) * 1e9, "{cycles} cycles in {least} to {most} s");
    assert!(
        instructions > cycles * 0.4 && instructions <= cycles * 0.5 + 1e6,
        "{instructions} instructions and {cycles} cycles of a busy CPU"
    );
    let log = console.section("log pmu");
    let reason = "hardware/cache-misses of `cache` is absent, on CPU 0: this machine's PMU has no such event";
    assert!(log.contains(reason), "{log}");
}

fn state(served: &Exposition, event: &str) -> String {
    let is_own = |sample: &&ebhost_tests::Sample| {
        sample.name == "ebhost_perf_events" && sample.labels["event"] == event && sample.value > 0.0
    };
    served.samples().find(is_own).map(|sample| sample.labels["state"].clone()).unwrap_or_default()
}
