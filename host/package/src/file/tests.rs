use ebhost_limits as limits;

use super::{super::*, *};

const GOOD: &str = "name: biolatency\ncomponent: biolatency.wasm\n";

fn declared(text: &str, settings: &Settings) -> Result<Declared, String> {
    let resolved = parse(Path::new("p/plugin.yaml"), text).and_then(|draft| draft.resolve(settings));
    resolved.map_err(|error| error.to_string())
}

fn refusal(text: &str) -> String {
    declared(text, &Settings::default()).unwrap_err()
}

#[test]
fn what_is_left_out_has_the_defaults() {
    let declared = declared(GOOD, &Settings::default()).unwrap();
    assert_eq!(declared.config, "{}");
    assert_eq!(declared.limits.series, limits::DEFAULT_SERIES);
    assert_eq!(declared.limits.decode, limits::DEFAULT_DECODE);
    assert!(declared.bpf.is_none() && declared.grants.is_empty());
}

#[test]
fn config_reaches_the_plugin_as_json() {
    let text = format!("{GOOD}config: {{ per_flag: true, disks: [vda, 7], path: $HOME }}\n");
    let declared = declared(&text, &Settings::default()).unwrap();
    assert_eq!(declared.config, r#"{"disks":["vda",7],"path":"$HOME","per_flag":true}"#);
}

#[test]
fn a_configuration_of_its_own_file_is_read_as_that_of_the_package() {
    let file = Path::new("other.yaml");
    assert_eq!(parse_config(file, "disks: [vda, 7]\n").unwrap(), r#"{"disks":["vda",7]}"#);
    assert_eq!(parse_config(file, r#"{"per_flag": true}"#).unwrap(), r#"{"per_flag":true}"#);
    assert_eq!(parse_config(file, "").unwrap(), "{}");
    for (wrong, says) in [("[1]", "other.yaml: found `[1]`, expected a mapping"), ("a: [", "other.yaml:")] {
        let message = parse_config(file, wrong).unwrap_err().to_string();
        assert!(message.starts_with(says), "{message}");
    }
}

#[test]
fn a_dollar_in_the_configuration_is_the_components_unless_the_package_has_options() {
    let config = "config: { path: $home }\n";
    assert_eq!(declared(&format!("{GOOD}{config}"), &Settings::default()).unwrap().config, r#"{"path":"$home"}"#);
    let message =
        refusal(&format!("{GOOD}options: {{ house: {{ type: integer, default: 1, help: Its number. }} }}\n{config}"));
    assert!(message.contains("found `$home`, expected an option of this package: house"), "{message}");
}

#[test]
fn a_package_takes_the_configuration_of_another_file() {
    let folder = std::env::temp_dir().join(format!("ebhost-package-config-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        folder.join(name)
    };
    write("biolatency.wasm", "");
    let file = write("plugin.yaml", &format!("{GOOD}config: {{ per_flag: true }}\n"));
    let mut package = Package::read(&file, &Settings::default()).unwrap();
    package.replace_config(&write("other.yaml", "disks: [vda]")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(package.config, r#"{"disks":["vda"]}"#);
}

/// `1.10` was `1.1` in a label.
#[test]
fn config_reaches_the_builtin_component_as_it_is_written() {
    let text = "name: x\ncomponent: builtin\nconfig: { map: { 1: 1.10, 2: 0x0800, 3: False, 4: } }\n";
    let declared = declared(text, &Settings::default()).unwrap();
    assert_eq!(declared.config, r#"{"map":{"1":"1.10","2":"0x0800","3":"False","4":null}}"#);
}

#[test]
fn an_unknown_key_is_pointed_at() {
    let message = refusal(&format!("{GOOD}grant: [block-device]\n"));
    assert!(message.starts_with("p/plugin.yaml:3:1: unknown field `grant`, expected one of"), "{message}");
    assert!(message.ends_with("\n3 | grant: [block-device]\n  | ^"), "{message}");
}

#[test]
fn a_wrong_type_names_what_was_found_and_expected() {
    let message = refusal("name: biolatency\ncomponent: [a]\n");
    assert!(
        message.starts_with("p/plugin.yaml:2:12: component: invalid type: sequence, expected a string"),
        "{message}"
    );
    let message = refusal(&format!("{GOOD}limits: {{ memory: 16MB }}\n"));
    assert!(message.contains("p/plugin.yaml:3:") && message.contains("found `16MB`, expected bytes"), "{message}");
}

#[test]
fn a_tab_is_called_a_tab() {
    let message = refusal("name: x\nbpf:\n\tobject: x.o\n");
    assert!(message.starts_with("p/plugin.yaml:3:1:") && message.contains("found a tab"), "{message}");
}

#[test]
fn a_file_outside_the_package_is_refused() {
    for path in ["../other.wasm", "/etc/passwd", "''"] {
        let message = refusal(&format!("name: x\ncomponent: {path}\n"));
        assert!(message.starts_with("p/plugin.yaml:2:1: found `"), "{message}");
    }
    for path in ["../x.bpf.o", "/lib/x.bpf.o", "a/../../x.bpf.o", "''"] {
        let message = refusal(&format!("{GOOD}bpf: {{ object: {path} }}\n"));
        let expected = "expected a file inside the package's own folder";
        assert!(message.starts_with("p/plugin.yaml:3:") && message.contains(expected), "{message}");
    }
    let inside = format!("{GOOD}bpf: {{ object: ./objects/x.bpf.o }}\n");
    assert!(parse(Path::new("p/plugin.yaml"), &inside).is_ok());
}

#[test]
fn a_grant_that_does_not_exist_is_refused() {
    let message = refusal(&format!("{GOOD}grants: [block-devices]\n"));
    assert!(message.contains(":3:1: found the grant `block-devices`, expected one of block-device, "), "{message}");
}

#[test]
fn limits_have_limits() {
    for (limits, expected) in [
        ("memory: 2GiB", "found 2147483648 bytes, expected at most 1073741824 (1GiB)"),
        ("decode: 501ms", "found 501ms, expected at most 500ms"),
        ("series: 2000001", "found 2000001, expected at most 2000000"),
    ] {
        let message = refusal(&format!("{GOOD}limits: {{ {limits} }}\n"));
        assert!(message.contains(expected) && message.starts_with("p/plugin.yaml:3:"), "{message}");
    }
}

#[test]
fn native_code_is_refused_by_its_name() {
    let message = refusal("name: x\ncomponent: x.cwasm\n");
    assert!(message.starts_with("p/plugin.yaml:2:1: found `x.cwasm`, expected a component"), "{message}");
}

#[test]
fn an_event_that_does_not_exist_is_pointed_at() {
    let message = refusal(&format!("{GOOD}perf:\n  llc: {{ events: [hardware/cycles, hardware/misses] }}\n"));
    assert!(message.contains("found the event `hardware/misses`, expected one of cycles, "), "{message}");
    assert!(message.contains("p/plugin.yaml:4:") && message.contains("\n4 |   llc: "), "{message}");
    assert!(declared(&format!("{GOOD}perf:\n  llc: {{ events: [software/dummy] }}\n"), &Settings::default()).is_ok());
    let message = refusal(&format!("{GOOD}perf:\n  llc: {{ events: [software/dummy], maps: [a] }}\n"));
    assert!(message.contains(":3:1: found `maps` or a `program` in `llc`, expected a `bpf:` section"), "{message}");
}

const OPTIONS: &str = "name: bio
component: x.wasm
bpf:
  object: x.bpf.o
  programs: [complete]
  globals: { targ_native: $native, targ_banks: $banks }
  max_entries: { banks: $banks per cpu, native_banks: 1 }
config: { native: $native, disks: $disks, by: none }
options:
  native:
    type: bool
    default: false
    help: Native histograms.
    when:
      true: { max_entries: { banks: 1, native_banks: $banks per cpu } }
  banks: { type: integer, min: 1, max: 4096, default: 128, help: Banks of a CPU. }
  disks: { type: list, default: [], help: Disks. }
  by:
    type: enum
    values: [none, cgroup]
    default: none
    help: Attribution.
    when:
      cgroup: { globals: { targ_by: 1 }, programs: [switch, exit], config: { by: cgroup } }
";

fn settings(assignments: &[&str]) -> Settings {
    let mut settings = Settings::default();
    assignments.iter().for_each(|assignment| settings.set(assignment).unwrap());
    settings
}

#[test]
fn one_choice_sets_everything_that_has_to_agree() {
    let bpf = declared(OPTIONS, &Settings::default()).unwrap().bpf.unwrap();
    assert_eq!(
        (bpf.globals["targ_native"].clone(), bpf.max_entries["banks"]),
        (GlobalValue::Bool(false), MaxEntries::PerCpu(128))
    );
    assert_eq!(
        (bpf.max_entries["native_banks"], bpf.programs),
        (MaxEntries::Fixed(1), Some(vec![ProgramChoice::from("complete")]))
    );

    let chosen = settings(&[
        "plugins.bio.native=true",
        "plugins.bio.banks=64",
        "plugins.bio.disks=[sda]",
        "plugins.bio.by=cgroup",
    ]);
    let declared = declared(OPTIONS, &chosen).unwrap();
    assert_eq!(declared.config, r#"{"by":"cgroup","disks":["sda"],"native":true}"#);
    let bpf = declared.bpf.unwrap();
    assert_eq!(
        (bpf.globals["targ_native"].clone(), bpf.globals["targ_by"].clone()),
        (GlobalValue::Bool(true), GlobalValue::Unsigned(1))
    );
    assert_eq!(
        (bpf.max_entries["banks"], bpf.max_entries["native_banks"]),
        (MaxEntries::Fixed(1), MaxEntries::PerCpu(64))
    );
    assert_eq!(bpf.programs.unwrap(), ["complete", "switch", "exit"].map(ProgramChoice::from));
}

#[test]
fn a_list_among_the_programs_has_alternatives() {
    let with = |programs: &str| OPTIONS.replace("[complete]", programs);
    let programs = declared(&with("[complete, [a, b]]"), &Settings::default()).unwrap().bpf.unwrap().programs;
    let programs: Vec<_> = programs.iter().flatten().map(ProgramChoice::alternatives).collect();
    assert_eq!(programs, [&["complete"][..], &["a", "b"]]);
    let message = refusal(&with("[complete, []]"));
    assert!(message.contains("found an empty list, expected the names of programs"), "{message}");
}

#[test]
fn a_setting_that_the_package_does_not_have_is_refused_with_those_it_has() {
    for (assignment, expected) in [
        (
            "plugins.bio.nativ=true",
            "found the option `nativ`, bio has banks, by, disks, native, bounds, limits, enabled",
        ),
        ("plugins.bio.by=comm", "the option `by` of bio: found `comm`, expected one of none, cgroup"),
        ("plugins.bio.banks=0", "the option `banks` of bio: found `0`, expected a whole number from 1 to 4096"),
    ] {
        let message = declared(OPTIONS, &settings(&[assignment])).unwrap_err();
        assert_eq!(message, format!("--set {assignment}: {expected}"));
    }
}

#[test]
fn an_operators_limits_count_more_than_the_packages_and_those_of_all_packages_less() {
    let text = format!("{GOOD}limits: {{ series: 7 }}\n");
    let series = |assignments: &[&str]| declared(&text, &settings(assignments)).unwrap().limits.series;
    assert_eq!(series(&["limits.series=5"]), 7);
    assert_eq!(series(&["plugins.biolatency.limits.series=9"]), 9);
    assert_eq!(declared(GOOD, &settings(&["limits.series=5"])).unwrap().limits.series, 5);
}

#[test]
fn mistakes_in_options_are_pointed_at() {
    for (change, with, expected) in [
        (
            "$native,",
            "$natve,",
            "p/plugin.yaml:6:14: found `$natve`, expected an option of this package: banks, by, disks, native",
        ),
        ("true: {", "maybe: {", "`when`: found `maybe`, expected true or false"),
        ("type: list", "type: lists", "found the type `lists`, expected bool, integer, time, text, list or enum"),
        ("default: 128", "default: 5000", "the default: found `5000`, expected a whole number from 1 to 4096"),
        ("  disks: {", "  limits: {", "found the option `limits`, expected a lower-case letter"),
    ] {
        let message = refusal(&OPTIONS.replace(change, with).replace("disks: $disks, ", ""));
        assert!(message.contains(expected) && message.starts_with("p/plugin.yaml:"), "{message}");
    }
}

#[test]
fn two_options_that_set_one_key_are_a_mistake() {
    let text = OPTIONS.replace("{ globals: { targ_by: 1 }", "{ max_entries: { banks: 7 }");
    assert!(declared(&text, &settings(&["plugins.bio.by=cgroup"])).is_ok());
    let message = declared(&text, &settings(&["plugins.bio.by=cgroup", "plugins.bio.native=on"])).unwrap_err();
    assert!(message.contains("the options `by` and `native` both set `max_entries.banks`"), "{message}");
}

#[test]
fn a_package_is_switched_by_its_default_and_by_settings() {
    let switch = |text: &str, settings: &Settings| parse(Path::new("p"), text).unwrap().switch(settings);
    let off = format!("{GOOD}default: off\n");
    assert_eq!(switch(GOOD, &Settings::default()), Switch::On);
    assert_eq!(switch(&off, &Settings::default()), Switch::Off);
    assert_eq!(switch(&off, &settings(&["plugins.biolatency=on"])), Switch::On);
    assert_eq!(switch(GOOD, &settings(&["plugins.biolatency=off"])), Switch::Off);
}

#[test]
fn a_name_is_plain() {
    assert!(refusal("name: Bio Latency\ncomponent: x.wasm\n").contains("found the name `Bio Latency`"));
}
