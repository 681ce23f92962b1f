//! Golden files are ebhost's own output; `confirm.py` derives the same lines from the inputs with Python's own libraries.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use ebhost_tests::{needs, output, workspace};

/// Texts that stand for a name that is not known, and names that only a kernel has: nothing else here makes them.
const UNCONFIRMED: [&str; 8] = [
    r#"ebpf_exporter_cgroup{it="unknown_cgroup_id:18446744073709551615"} 1"#,
    r#"ebpf_exporter_dname{it="?www"} 3"#,
    r#"ebpf_exporter_ifname{it="unknown:2147483647"} 1"#,
    r#"ebpf_exporter_ksym{it="unknown_addr:0x1"} 1"#,
    r#"ebpf_exporter_kstack{it="??"} 1"#,
    r#"ebpf_exporter_majorminor{it="unknown:4001:300"} 1"#,
    r#"ebpf_exporter_syscall{it="read"} 1"#,
    r#"ebpf_exporter_syscall{it="unknown_syscall:9999"} 1"#,
];

/// The samples of a text.
fn samples(text: &str) -> BTreeSet<String> {
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

fn assert_confirmed(golden: &Path, what: &[&str], unconfirmed: &[&str]) {
    let script = workspace().join("tests/formats/confirm.py");
    let derived = samples(&output(Command::new("python3").arg(script).args(what).current_dir(workspace())));
    let mut found = samples(&fs::read_to_string(golden).expect("a file of the repository"));
    for line in unconfirmed {
        assert!(found.remove(*line), "{} has no line {line}", golden.display());
    }
    let [missing, extra] = [derived.difference(&found), found.difference(&derived)].map(Iterator::collect::<Vec<_>>);
    assert!(
        missing.is_empty() && extra.is_empty(),
        "{}: missing {missing:#?}, not derived {extra:#?}",
        golden.display()
    );
    assert!(derived.len() >= 7, "{derived:?}");
}

#[test]
fn the_golden_files_say_what_another_program_derives_from_the_inputs() {
    needs!(Tool("python3"));
    let golden = workspace().join("tests/compat/golden");
    assert_confirmed(&golden.join("decoders.txt"), &["decoders"], &UNCONFIRMED);
    assert_confirmed(&golden.join("buckets.txt"), &["buckets"], &[]);
    let fixture = workspace().join("tests/fixtures/contract-0.1.0");
    assert_confirmed(&fixture.join("expected.prom"), &["forks", "tests/fixtures/contract-0.1.0/sample.jsonl"], &[]);
}
