//! Budgets of BPF programs: what they cost is measured, a package that costs too much is detached and comes back, and the others go on.

use std::{fs, path::Path, time::Duration};

use ebhost_tests::{Ebhost, Exposition, Folder, alone, compile, needs, wait_until, workspace};

const BURNER: [(&str, &str); 1] = [("plugin", "burner")];
const BIOLATENCY: [(&str, &str); 1] = [("plugin", "biolatency")];
const PATIENCE: Duration = Duration::from_secs(120);

/// A package whose program takes `ns` at each of 1 000 samples a second on each CPU.
fn write_burner(folder: &Path, ns: u32, entries: u64) {
    let package = folder.join("burner");
    fs::create_dir_all(&package).expect("our own folder");
    let source = fs::read_to_string(workspace().join("tests/programs/burner.bpf.c")).expect("a file of the repository");
    compile(&source, "bpf", &package.join("burner.bpf.o"));
    let yaml = format!(
        "name: burner\ncomponent: builtin\nbpf:\n  object: burner.bpf.o\n  programs: []\n  globals: {{ targ_ns: {ns} }}\n  \
         max_entries: {{ large: {entries} }}\nperf:\n  ticks: {{ events: [software/cpu-clock], frequency: 1000, program: burn }}\n\
         limits: {{ kernel_cpu: 1% }}\nconfig:\n  metrics:\n    counters:\n      - name: samples_total\n        help: Samples of the CPU \
         clock.\n        labels: [{{ name: slot, size: 4, decoders: [{{ name: uint }}] }}]\n"
    );
    fs::write(package.join("plugin.yaml"), yaml).expect("our own file");
}

fn state(served: &Exposition, plugin: &str, state: &str) -> Option<f64> {
    served.value("ebhost_plugin_state", &[("plugin", plugin), ("state", state)])
}

/// A program on a busy hook took a tenth of a machine, and no exporter said so or did anything about it.
#[test]
fn a_program_that_burns_a_cpu_is_detached_and_comes_back_when_it_is_mended() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = Folder::with_biolatency();
    write_burner(folder.path(), 50_000, 1);
    let host = Ebhost::start(folder.path());
    assert!(host.scrape().value("ebhost_samples_total", &[("slot", "0")]) > Some(0.0));
    let measured =
        wait_until("a measurement", PATIENCE, || host.scrape().value("ebhost_plugin_kernel_cpu_ratio", &BURNER));
    assert!(measured > 0.03, "50 µs a thousand times a second take a twentieth of each CPU, found {measured}");
    let served = wait_until("the package is detached", PATIENCE, || {
        Some(host.scrape()).filter(|served| state(served, "burner", "over_budget") == Some(1.0))
    });
    assert_eq!(
        served.value("ebhost_samples_total", &[("slot", "0")]),
        None,
        "a counter that stands still would be wrong"
    );
    assert_eq!(
        (served.value("ebhost_plugin_up", &BURNER), served.value("ebhost_plugin_up", &BIOLATENCY)),
        (Some(0.0), Some(1.0))
    );
    assert_eq!(state(&served, "biolatency", "over_budget"), Some(0.0));
    let log = host.log().text();
    assert!(log.contains("its BPF programs took ") && log.contains("expected at most 1.00 %"), "{log}");
    let status = host.get("/status", &[]);
    assert!(status.text().contains("% of it program `burn`"), "{}", status.text());

    write_burner(folder.path(), 0, 1);
    wait_until("the mended package", PATIENCE, || {
        (host.scrape().value("ebhost_samples_total", &[("slot", "0")]) > Some(0.0)).then_some(())
    });
    let served = wait_until("its cost", PATIENCE, || {
        Some(host.scrape()).filter(|served| served.value("ebhost_plugin_kernel_cpu_ratio", &BURNER).is_some())
    });
    assert!(served.value("ebhost_plugin_kernel_cpu_ratio", &BURNER) < Some(0.01));
    assert_eq!(state(&served, "burner", "over_budget"), Some(0.0));
    assert_eq!(served.value("ebhost_kernel_cpu_measured", &[]), Some(1.0));
    host.stop();
}

#[test]
fn a_package_that_asks_for_gigabytes_of_maps_is_refused_with_the_numbers() {
    needs!(Root, Tool("clang-19"));
    let folder = Folder::with_biolatency();
    write_burner(folder.path(), 0, 10 << 27); // of 8 bytes
    let host = Ebhost::start(folder.path());
    let served = host.scrape();
    assert_eq!(served.value("ebhost_plugin_up", &BIOLATENCY), Some(1.0));
    assert_eq!(state(&served, "burner", "refused"), Some(1.0));
    let log = host.log().text();
    assert!(
        log.contains(
            "its maps take 10240 MiB when they are full, 10240 MiB of it the map `large`; expected at most 1024 MiB"
        ),
        "{log}"
    );
    let memory = served.value("ebhost_map_memory_bytes", &[("plugin", "biolatency"), ("map", "banks")]);
    assert!(memory > Some(4096.0), "{memory:?}");
    host.stop();
}
