//! Mistakes of plugin authors, and what `ebhost check` reports: what, where, and how to fix it. Needs no root.

use std::{fs, path::Path};

use ebhost_tests::Folder;
use serde_json::Value;

use crate::{ebhost, fixture};

/// Writes a package with the component `mistaken`, which makes the mistake that its config names.
fn package(folder: &Path, name: &str, mistake: &str) {
    let package = folder.join(name);
    fs::create_dir(&package).expect("our own folder");
    for (from, to) in [("mistaken/mistaken.wasm", "mistaken.wasm"), ("contract-0.1.0/forks.bpf.o", "forks.bpf.o")] {
        fs::copy(fixture(from), package.join(to)).expect("our own folder");
    }
    let yaml = format!(
        "name: {name}\ncomponent: mistaken.wasm\nbpf: {{ object: forks.bpf.o }}\nconfig: {{ mistake: \"{mistake}\" }}\n\
         limits: {{ memory: 16MiB, decode: 500ms }}\n"
    );
    fs::write(package.join("plugin.yaml"), yaml).expect("our own file");
}

/// The findings for packages, in order, and the exit status.
fn findings(folder: &Path, names: &[&str]) -> (Vec<Value>, Option<i32>) {
    let checked = ebhost(&[&["check", "--format", "json"], names].concat(), folder);
    let last = checked.out.lines().last().unwrap_or_default();
    let told: Value =
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}{}", checked.out, checked.err));
    (told["findings"].as_array().expect("a list").clone(), checked.code)
}

/// Each mistake with the severity, a part of the message and a part of the fix.
const MISTAKES: [(&str, &str, &str, &str); 23] = [
    ("key-size", "error", "view 0 (`events`): found key-size 24, expected 20, as the map has it", "member by member"),
    ("value-size", "error", "found value-size 4, expected 8, as the map has it", "member by member"),
    (
        "source",
        "error",
        "found the source `event`, expected a map of the BPF object or a source under `perf` in plugin.yaml: events, lost",
        "name the map in the manifest as the BPF program does",
    ),
    ("labels", "error", "series of `mistaken_total`: found 2 labels, expected 1, as the family has", "one source"),
    ("column", "error", "found column 1, expected one below the view's 1", "one source"),
    (
        "field",
        "error",
        "identity field 0: found bytes 0 to 24, expected 1 or more bytes within the 20 of the key",
        "within the struct",
    ),
    (
        "lookup",
        "error",
        "lookup in `block-device`: found the grants [], expected a granted table; add `grants: [block-device]`",
        "add the table to `grants`",
    ),
    (
        "table",
        "error",
        "lookup in `process`: found a table that does not exist, expected one of block-device",
        "a table of that list",
    ),
    ("total", "error", "family `mistaken`: found that name, expected a counter's name to end in `_total`", "rename it"),
    ("unit", "error", "found unit `seconds`, expected a name that ends with its unit", "rename it"),
    ("le", "error", "found the label name `le`, expected letters", "rename it"),
    ("per", "error", "found per = 0, expected a finite number above 0", "leave `times` and `per` at 1"),
    (
        "offset",
        "error",
        "found 1 × 8 bytes from byte 4, expected bytes within the value's 8",
        "take offset and size from the struct",
    ),
    ("cpu", "error", "found the label `cpu`, expected a per-CPU map", "one source"),
    ("help", "warning", "family `mistaken_total` has no help", "say in one sentence"),
    ("unfed", "error", "family `other_total`: found no view that feeds it", "feed it from a view"),
    ("bounds", "error", "found the bound 0.2 after 0.5, expected ascending bounds", "from the least to the greatest"),
    ("slots", "error", "found 3 × 8 bytes from byte 0, expected bytes within the value's 8", "one more than bounds"),
    ("refuse", "error", "refuses its config: found no `disk`, expected its name", "mend `config` in plugin.yaml"),
    ("panic", "error", "trapped: ", "let describe return an error"),
    ("impure", "error", "decode is not pure: identity ", "depend on its entry and the config alone"),
    ("trap", "warning", "decode of identity ff", "refuse what is not understood"),
    ("short", "warning", "answers 0 for labels, expected 1 entries × 1 columns", "answer for every entry"),
];

#[test]
fn mistakes_in_the_component_are_reported_with_place_and_fix() {
    let folder = Folder::new();
    for (mistake, severity, says, fix) in MISTAKES {
        let name = format!("p{}", mistake.replace('-', "_"));
        package(folder.path(), &name, mistake);
        let (found, code) = findings(folder.path(), &[&name]);
        let finding = found.iter().find(|finding| finding["message"].as_str().is_some_and(|text| text.contains(says)));
        let finding = finding.unwrap_or_else(|| panic!("{mistake}: expected `{says}`, found {found:#?}"));
        assert_eq!(finding["severity"], severity, "{mistake}");
        assert_eq!(code, Some(i32::from(severity == "error")), "{mistake}: {found:#?}");
        assert_eq!(finding["place"].as_str(), Some(format!("{name}/mistaken.wasm").as_str()), "{mistake}");
        assert!(finding["fix"].as_str().is_some_and(|said| said.contains(fix)), "{mistake}: {finding}");
    }
}

#[test]
fn a_correct_package_has_no_findings() {
    let folder = Folder::new();
    package(folder.path(), "sound", "none");
    let (found, code) = findings(folder.path(), &["sound"]);
    assert!(found.is_empty() && code == Some(0), "{found:#?}");
}

#[test]
fn mistakes_in_plugin_yaml_are_reported_with_line_and_column() {
    let folder = Folder::new();
    for (number, (from, to, place, says)) in [
        ("config:", "confg:", ":4:1", "unknown field `confg`, expected one of"),
        ("16MiB", "16MB", ":5:", "found `16MB`, expected bytes, such as 16MiB"),
        ("mistaken.wasm", "gone.wasm", "gone.wasm", "cannot be read"),
        ("object: forks.bpf.o", "object: gone.bpf.o", "gone.bpf.o", "cannot be read"),
        ("object: forks.bpf.o", "object: forks.bpf.o, globals: { targ: 1 }", "forks.bpf.o", "has no global `targ`"),
        ("object: forks.bpf.o", "object: forks.bpf.o, max_entries: { maps: 1 }", "forks.bpf.o", "has no map `maps`"),
        (
            "object: forks.bpf.o",
            "object: forks.bpf.o, programs: [on_forks]",
            "forks.bpf.o",
            "has no program `on_forks`",
        ),
        ("object: forks.bpf.o", "object: mistaken.wasm", "mistaken.wasm", "is not an ELF file"),
        ("component: mistaken.wasm", "component: forks.bpf.o", "forks.bpf.o", "expected a WASM component"),
        ("limits:", "grants: [block-devices]\nlimits:", ":5:1", "found the grant `block-devices`, expected one of"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("p{number}");
        package(folder.path(), &name, "none");
        let yaml = folder.path().join(&name).join("plugin.yaml");
        let text = fs::read_to_string(&yaml).expect("our own file");
        assert!(text.contains(from), "{from}");
        fs::write(&yaml, text.replacen(from, to, 1)).expect("our own file");
        let (found, code) = findings(folder.path(), &[&name]);
        let is_said = |finding: &&Value| {
            finding["message"].as_str().is_some_and(|text| text.contains(says))
                && finding["place"].as_str().is_some_and(|at| at.contains(place))
        };
        assert!(found.iter().any(|finding| is_said(&finding)), "`{says}` at {place}, found {found:#?}");
        assert_eq!(code, Some(1), "{says}");
    }
}

#[test]
fn duplicate_names_are_found_in_packages_that_are_checked_together() {
    let folder = Folder::new();
    package(folder.path(), "one", "none");
    package(folder.path(), "two", "none");
    let (found, code) = findings(folder.path(), &["one", "two"]);
    assert!(
        found[0]["message"].as_str().is_some_and(|text| text.contains("a name that package `one` has already")),
        "{found:#?}"
    );
    assert_eq!((found[0]["stage"].as_str(), code), (Some("names"), Some(1)));
}

#[test]
fn another_contract_or_world_is_reported() {
    let folder = Folder::new();
    for (name, wat, says) in [
        (
            "newer",
            "(component (instance $d) (export \"ebhost:plugin/decoder@0.2.0\" (instance $d)))",
            "speaks contract 0.2.0",
        ),
        (
            "older",
            "(component (instance $d) (export \"ebhost:plugin/decoder@0.0.9\" (instance $d)))",
            "speaks contract 0.0.9, expected `ebhost:plugin/decoder@0.1.0`",
        ),
        (
            "wasi",
            "(component (import \"wasi:cli/environment@0.2.0\" (instance)))",
            "imports `wasi:cli/environment@0.2.0`",
        ),
        ("core", "(module)", "found a core module, expected a component"),
    ] {
        package(folder.path(), name, "none");
        let bytes = wat::parse_str(wat).expect("the test's own text");
        fs::write(folder.path().join(name).join("mistaken.wasm"), bytes).expect("our own file");
        let (found, code) = findings(folder.path(), &[name]);
        assert!(found[0]["message"].as_str().is_some_and(|text| text.contains(says)), "{found:#?}");
        assert_eq!(code, Some(1));
    }
}

/// A variant that nobody chose yet was broken for its first operator.
#[test]
fn each_variant_of_a_package_is_checked_before_somebody_chooses_it() {
    let folder = Folder::with_biolatency();
    let (good, code) = findings(folder.path(), &["biolatency"]);
    assert_eq!((good.len(), code), (0, Some(0)), "{good:?}");
    folder.amend("biolatency", "programs: [block_rq_insert, ", "programs: [block_rq_inserted, ");
    folder.amend("biolatency", "disks: $disks", "discs: $disks");
    let (found, code) = findings(folder.path(), &["biolatency"]);
    assert_eq!(code, Some(1));
    let says = |part: &str| found.iter().any(|finding| finding["message"].as_str().is_some_and(|it| it.contains(part)));
    assert!(says("unknown field `discs`"), "{found:?}");
    folder.amend("biolatency", "discs: $disks", "disks: $disks");
    let (found, _) = findings(folder.path(), &["biolatency"]);
    let message = found[0]["message"].as_str().expect("a message");
    assert!(found.len() == 1 && message.starts_with("with --set plugins.biolatency.queued=true: "), "{found:?}");
    assert!(message.contains("has no program `block_rq_inserted`"), "{message}");
}
