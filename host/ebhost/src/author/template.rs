//! The files of a new package, embedded from `templates/`. `__NAME__` in a path or a text becomes the package's name.

use super::command::{Language, Pattern};

/// Placeholder of the package's name.
pub(super) const NAME: &str = "__NAME__";

/// One file to write.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) content: &'static [u8],
    /// Texts in its content that become the package's name.
    pub(super) names: &'static [&'static str],
}

macro_rules! file {
    ($path:literal, $from:literal) => {
        File { path: $path, content: include_bytes!(concat!("../../templates/", $from)), names: &[NAME] }
    };
    ($path:literal = $from:literal) => {
        File { path: $path, content: include_bytes!(concat!("../../../../", $from)), names: &[] }
    };
    ($path:literal = $from:literal, $names:expr) => {
        File { path: $path, content: include_bytes!(concat!("../../../../", $from)), names: $names }
    };
}

/// Files of every package.
const COMMON: [File; 19] = [
    file!("bpf.h" = "bpf/bpf.h"),
    file!("buckets.h" = "bpf/buckets.h"),
    file!("claim.h" = "bpf/claim.h"),
    file!("kernel.h" = "bpf/kernel.h"),
    file!("native.h" = "bpf/native.h"),
    file!("task.h" = "bpf/task.h"),
    file!("ebhost/counts.h" = "bpf/ebhost/counts.h"),
    file!("ebhost/program.h" = "bpf/ebhost/program.h"),
    file!("ebhost/requests.h" = "bpf/ebhost/requests.h"),
    file!("ebhost/associative.h" = "bpf/ebhost/associative.h"),
    file!("ebhost/stamps.h" = "bpf/ebhost/stamps.h"),
    file!("ebhost/table.h" = "bpf/ebhost/table.h"),
    file!("ebhost/task.h" = "bpf/ebhost/task.h"),
    file!(".gitignore", "common/gitignore"),
    file!("build-bpf.sh", "common/build-bpf.sh"),
    file!("wit/decoder.wit" = "wit/decoder.wit"),
    file!("wit/log.wit" = "wit/log.wit"),
    file!("wit/spans/spans.wit" = "wit/spans/spans.wit"),
    file!("wit/world.wit" = "wit/world.wit"),
];

/// The program of the pattern `counter`, and its recording.
const COUNTER: [File; 3] = [
    file!("__NAME__.bpf.c", "common/program.bpf.c"),
    file!("sample.jsonl", "common/sample.jsonl"),
    file!("expected.prom", "common/expected.prom"),
];

/// The Rust package of the pattern `counter`.
const COUNTER_RUST: [File; 3] = [
    file!("README.md", "rust/README.md"),
    file!("plugin.yaml", "common/plugin.yaml"),
    file!("src/lib.rs", "rust/lib.rs"),
];

const HISTOGRAM: [File; 6] = [
    file!("README.md", "histogram/README.md"),
    file!("__NAME__.bpf.c", "histogram/program.bpf.c"),
    file!("plugin.yaml", "histogram/plugin.yaml"),
    file!("src/lib.rs", "histogram/lib.rs"),
    file!("sample.jsonl", "histogram/sample.jsonl"),
    file!("expected.prom", "histogram/expected.prom"),
];

const EVENTS: [File; 6] = [
    file!("README.md", "events/README.md"),
    file!("__NAME__.bpf.c", "events/program.bpf.c"),
    file!("plugin.yaml", "events/plugin.yaml"),
    file!("src/lib.rs", "events/lib.rs"),
    file!("sample.jsonl", "events/sample.jsonl"),
    file!("expected.prom", "events/expected.prom"),
];

/// `examples/runqlat`, where it is tested.
const RUNQLAT: [File; 6] = [
    file!("README.md", "runqlat/README.md"),
    file!("__NAME__.bpf.c" = "examples/runqlat/runqlat.bpf.c", &["runqlat"]),
    file!("plugin.yaml" = "examples/runqlat/plugin.yaml", &["runqlat"]),
    file!("src/lib.rs" = "examples/runqlat/src/lib.rs", &["runqlat", "runqueue"]),
    file!("sample.jsonl", "runqlat/sample.jsonl"),
    file!("expected.prom", "runqlat/expected.prom"),
];

const RUST: [File; 27] = [
    file!("build.sh", "rust/build.sh"),
    file!("test.sh", "rust/test.sh"),
    file!("Cargo.toml", "rust/Cargo.toml"),
    file!("vendor/ebhost-plugin/Cargo.toml", "rust/vendor.toml"),
    file!("vendor/ebhost-plugin/src/banks.rs" = "plugins/sdk/src/banks.rs"),
    file!("vendor/ebhost-plugin/src/bindings.rs" = "plugins/sdk/src/bindings.rs"),
    file!("vendor/ebhost-plugin/src/bounds.rs" = "plugins/sdk/src/bounds.rs"),
    file!("vendor/ebhost-plugin/src/columns.rs" = "plugins/sdk/src/columns.rs"),
    file!("vendor/ebhost-plugin/src/component.rs" = "plugins/sdk/src/component.rs"),
    file!("vendor/ebhost-plugin/src/dictionary.rs" = "plugins/sdk/src/dictionary.rs"),
    file!("vendor/ebhost-plugin/src/digits.rs" = "plugins/sdk/src/digits.rs"),
    file!("vendor/ebhost-plugin/src/family.rs" = "plugins/sdk/src/family.rs"),
    file!("vendor/ebhost-plugin/src/identity.rs" = "plugins/sdk/src/identity.rs"),
    file!("vendor/ebhost-plugin/src/intern.rs" = "plugins/sdk/src/intern.rs"),
    file!("vendor/ebhost-plugin/src/label.rs" = "plugins/sdk/src/label.rs"),
    file!("vendor/ebhost-plugin/src/layout.rs" = "plugins/sdk/src/layout.rs"),
    file!("vendor/ebhost-plugin/src/lib.rs" = "plugins/sdk/src/lib.rs"),
    file!("vendor/ebhost-plugin/src/log.rs" = "plugins/sdk/src/log.rs"),
    file!("vendor/ebhost-plugin/src/manifest.rs" = "plugins/sdk/src/manifest.rs"),
    file!("vendor/ebhost-plugin/src/span_bindings.rs" = "plugins/sdk/src/span_bindings.rs"),
    file!("vendor/ebhost-plugin/src/spans.rs" = "plugins/sdk/src/spans.rs"),
    file!("vendor/ebhost-plugin/src/table.rs" = "plugins/sdk/src/table.rs"),
    file!("vendor/ebhost-plugin/src/testing.rs" = "plugins/sdk/src/testing.rs"),
    file!("vendor/ebhost-plugin/src/text.rs" = "plugins/sdk/src/text.rs"),
    file!("vendor/ebhost-plugin/src/value.rs" = "plugins/sdk/src/value.rs"),
    file!("vendor/ebhost-plugin/src/view.rs" = "plugins/sdk/src/view.rs"),
    file!("vendor/ebhost-plugin/src/zero_copy.rs" = "plugins/sdk/src/zero_copy.rs"),
];

const C: [File; 11] = [
    file!("README.md", "c/README.md"),
    file!("plugin.yaml", "common/plugin.yaml"),
    file!("build.sh", "c/build.sh"),
    file!("test.sh", "common/test.sh"),
    file!("component.c", "c/component.c"),
    file!("config.h", "c/config.h"),
    file!("ebhost.h", "c/ebhost.h"),
    file!("no_system.c", "c/no_system.c"),
    file!("bindings/plugin.c", "c/bindings/plugin.c"),
    file!("bindings/plugin.h", "c/bindings/plugin.h"),
    file!("bindings/plugin_component_type.o", "c/bindings/plugin_component_type.o"),
];

const JAVASCRIPT: [File; 7] = [
    file!("README.md", "javascript/README.md"),
    file!("plugin.yaml", "common/plugin-interpreted.yaml"),
    file!("build.sh", "javascript/build.sh"),
    file!("test.sh", "common/test.sh"),
    file!("build.mjs", "javascript/build.mjs"),
    file!("package.json", "javascript/package.json"),
    file!("component.js", "javascript/component.js"),
];

const PYTHON: [File; 5] = [
    file!("README.md", "python/README.md"),
    file!("plugin.yaml", "common/plugin-interpreted.yaml"),
    file!("build.sh", "python/build.sh"),
    file!("test.sh", "common/test.sh"),
    file!("component.py", "python/component.py"),
];

/// The files of a package in this language, from this pattern; only Rust has others than `counter`.
pub(super) fn files(language: Language, pattern: Pattern) -> Vec<File> {
    let of_language: &[File] = match language {
        Language::Rust => &RUST,
        Language::C => &C,
        Language::Javascript => &JAVASCRIPT,
        Language::Python => &PYTHON,
    };
    let of_pattern: &[&[File]] = match (pattern, language) {
        (Pattern::Counter, Language::Rust) => &[&COUNTER, &COUNTER_RUST],
        (Pattern::Counter, _) => &[&COUNTER],
        (Pattern::Histogram, _) => &[&HISTOGRAM],
        (Pattern::Events, _) => &[&EVENTS],
        (Pattern::Runqlat, _) => &[&RUNQLAT],
    };
    COMMON.iter().chain(of_language).chain(of_pattern.iter().copied().flatten()).copied().collect()
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    #[test]
    fn the_whole_guest_crate_is_in_a_rust_package() {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/sdk/src");
        let names = fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let there: BTreeSet<_> = names.collect();
        let embedded = RUST.iter().filter_map(|file| file.path.strip_prefix("vendor/ebhost-plugin/src/"));
        assert_eq!(embedded.map(str::to_owned).collect::<BTreeSet<_>>(), there);
    }

    #[test]
    fn no_file_is_written_twice() {
        for language in <Language as clap::ValueEnum>::value_variants() {
            for pattern in <Pattern as clap::ValueEnum>::value_variants() {
                let is_there = *language == Language::Rust || *pattern == Pattern::Counter;
                let files = if is_there { files(*language, *pattern) } else { Vec::new() };
                let paths: BTreeSet<_> = files.iter().map(|file| file.path).collect();
                assert_eq!(paths.len(), files.len(), "{language:?}, {pattern:?}");
            }
        }
    }
}
