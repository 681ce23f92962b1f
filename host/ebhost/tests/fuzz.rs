//! Arbitrary and damaged input, a fixed number of cases each: nothing panics, and errors name the file.
//!
//! `host/fuzz` has the same four targets for libFuzzer, which finds cases by coverage: `cargo xtask fuzz`.

use std::{path::Path, sync::OnceLock};

use ebhost_metrics::{Encoding, Format};
use ebhost_package::{Artefact, check_text};
use ebhost_plugin_host::{Engine, fuzz};
use proptest::prelude::*;

const YAML: &str = "name: x\ncomponent: x.wasm\nbpf: { object: x.o, globals: { a: 1 }, max_entries: { m: 8 per cpu } }\n\
                    config: { a: [1, ~] }\ngrants: [cgroup]\nlimits: { memory: 1MiB, decode: 5ms, series: 9 }\n";
const ALL: &[Format] = Format::ALL;

/// The smallest component with an export of the decoder's name. It lacks the decoder's functions.
const SMALL: &str = "(component (core module (func (export \"f\"))) (instance $d) \
                     (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))";

/// Bytes with some replaced, inserted and cut off.
fn damaged(whole: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = whole.len();
    let edits = prop::collection::vec((0..length, any::<u8>(), any::<bool>()), 1..8);
    (edits, 0..=length).prop_map(move |(edits, keep)| {
        let mut bytes = whole.clone();
        for (at, byte, is_inserted) in edits {
            if is_inserted { bytes.insert(at, byte) } else { bytes[at] = byte }
        }
        if keep % 3 == 0 {
            bytes.truncate(keep);
        }
        bytes
    })
}

/// Properties of every accepted text, by the YAML parser's own view of it: a mapping of known keys, with a plain name and a component.
fn may_be_accepted(text: &str) -> bool {
    let Ok(serde_yaml::Value::Mapping(keys)) = serde_yaml::from_str(text) else { return false };
    let known =
        ["name", "summary", "version", "default", "component", "bpf", "perf", "config", "options", "grants", "limits"];
    let text_of = |key: &str| keys.get(key).and_then(serde_yaml::Value::as_str).unwrap_or_default().to_owned();
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let (name, component) = (text_of("name"), text_of("component"));
    keys.keys().all(|key| key.as_str().is_some_and(|key| known.contains(&key)))
        && !name.is_empty()
        && name.chars().all(is_plain)
        && !component.is_empty()
        && !component.starts_with('/')
        && component.split('/').all(|part| part != "..")
}

/// The text is sound before it is damaged: otherwise every damaged one would be refused for the same reason.
#[test]
fn the_undamaged_plugin_yaml_is_accepted() {
    assert!(check_text(Path::new("p/plugin.yaml"), YAML).is_ok() && may_be_accepted(YAML));
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None, None).unwrap())
}

/// Why a component is refused; `None`: it is accepted.
fn refusal(bytes: Vec<u8>) -> Option<String> {
    engine().compile(&Artefact::new("x.wasm".into(), bytes)).err().map(|error| error.to_string())
}

fn text() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("text/plain"),
        Just("application/openmetrics-text"),
        Just("application/vnd.google.protobuf"),
        Just("*/*"),
        Just("version=1.0.0"),
        Just("version=0.0.4"),
        Just("q=0.5"),
        Just("q=-1"),
        Just("q=1e999"),
        Just("gzip"),
        Just("identity"),
        Just(","),
        Just(";"),
        Just("="),
        Just(" "),
        Just("\"")
    ];
    prop_oneof![any::<String>(), prop::collection::vec(word, 0..24).prop_map(|words| words.concat())]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_096))]

    #[test]
    fn plugin_yaml(bytes in prop_oneof![damaged(YAML.as_bytes().to_vec()), prop::collection::vec(any::<u8>(), 0..256)]) {
        let text = String::from_utf8_lossy(&bytes);
        match check_text(Path::new("p/plugin.yaml"), &text) {
            Ok(()) => prop_assert!(may_be_accepted(&text), "it is accepted: {text:?}"),
            Err(error) => prop_assert!(error.to_string().starts_with("p/plugin.yaml"), "{error}"),
        }
    }

    #[test]
    fn answers(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        fuzz::answer(&bytes);
    }

    #[test]
    fn accept_headers(text in text()) {
        // No format is chosen that the header does not name, and none that is not offered.
        let lower = text.to_ascii_lowercase();
        let is_named = |format| match format {
            Format::Text004 => true,
            Format::Protobuf => lower.contains("application/vnd.google.protobuf"),
            _ => lower.contains("application/openmetrics-text"),
        };
        let chosen = Format::negotiate(Some(&text), ALL);
        prop_assert!(is_named(chosen), "{chosen:?}");
        prop_assert_eq!(Format::negotiate(Some(&text), &[Format::Text004]), Format::Text004);
        let is_gzip = Encoding::negotiate(Some(&text)) == Encoding::Gzip;
        prop_assert!(!is_gzip || lower.contains("gzip") || lower.contains('*'));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn components(bytes in damaged(wat::parse_str(SMALL).unwrap())) {
        let refused = refusal(bytes).expect("it exports no function of the contract");
        prop_assert!(refused.starts_with("x.wasm: "), "{refused}");
    }
}

/// The seed of libFuzzer.
#[test]
fn the_seed_is_the_small_component() {
    let seed = include_bytes!("../../fuzz/seeds/components/small.wasm");
    assert_eq!(seed.as_slice(), wat::parse_str(SMALL).unwrap());
}

#[test]
fn a_component_cut_short_at_every_byte() {
    let whole = wat::parse_str(SMALL).unwrap();
    for length in 0..=whole.len() {
        let refused = refusal(whole[..length].to_vec()).unwrap_or_else(|| panic!("{length} bytes are taken"));
        assert!(refused.starts_with("x.wasm: "), "{length}: {refused}");
    }
}
