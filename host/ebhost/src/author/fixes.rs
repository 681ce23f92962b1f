//! Advice for each error that `check` reports: the stages' messages say what was found and what was expected, the advice says where to
//! fix it.

use std::path::Path;

use super::findings::Finding;
use ebhost_kernel::ObjectError;
use ebhost_package::{Package, PackageError};
use ebhost_plugin_host::{CallError, ComponentError, DecodeError, ManifestRule, PluginError};

/// A finding about plugin.yaml and the files that it names.
pub(super) fn package_finding(file: &Path, fault: &PackageError) -> Finding {
    let (place, fix) = match fault {
        PackageError::Unreadable { path, .. } => {
            (path, "run the package's ./build.sh, or correct the name of the file in plugin.yaml")
        }
        PackageError::TooLarge { path, .. } => (path, "name the right file; build without debug information"),
        _ => (&file.to_owned(), "correct that line of plugin.yaml"),
    };
    Finding::error("package", &place.display().to_string(), fault, fix)
}

/// A finding about the component's file.
pub(super) fn component_finding(package: &Package, fault: &ComponentError) -> Finding {
    let fix = match fault {
        ComponentError::CoreModule { .. } => {
            "link with `wasm-component-ld`, or run `wasm-tools component new`; the package's build.sh does it"
        }
        ComponentError::Import { .. } => {
            "build without WASI: Rust for wasm32-unknown-unknown, C with the calls in no_system.c, JavaScript with all features \
             disabled, Python with --stub-wasi"
        }
        ComponentError::OtherContract { .. } | ComponentError::Mismatch { .. } => {
            "rebuild it against the wit/ of this ebhost (`ebhost new` writes it)"
        }
        _ => "rebuild it with the package's ./build.sh",
    };
    Finding::error("component", &package.component.path.display().to_string(), fault, fix)
}

/// A finding about the config or the manifest.
pub(super) fn plugin_finding(place: &str, fault: &PluginError) -> Finding {
    let fix = match fault {
        // The SDK's own checks of a manifest, which the contract has no other way to report.
        PluginError::Describe { error: CallError::ConfigRefused(why), .. } if why.starts_with("view `") => {
            let message = fault.to_string().replacen("refuses its config", "has a manifest that contradicts itself", 1);
            return Finding::error("manifest", place, message, "correct the manifest in the component's `describe`");
        }
        PluginError::Describe { error: CallError::ConfigRefused(_), .. } => {
            "mend `config` in plugin.yaml, or the manifest if it is that which is refused"
        }
        PluginError::Describe { error: CallError::Memory { .. }, .. } => "raise limits.memory in plugin.yaml",
        PluginError::Describe { .. } => "let describe return an error, which is shown, instead of trapping",
        PluginError::Manifest { error, .. } => rule_fix(error.rule()),
        PluginError::Config(_) => "correct those lines of plugin.yaml",
    };
    Finding::error("manifest", place, fault, fix)
}

/// Advice about an object.
pub(super) fn object_fix(fault: &ObjectError) -> &'static str {
    match fault {
        ObjectError::UnknownSection { .. } => "correct the program's `SEC(\"…\")`",
        ObjectError::NoLicense { .. } => "add that line to the program's source, and build it again",
        _ => "compile it with `clang -target bpf -mcpu=v3 -g -O2 -c`, as the package's build.sh does",
    }
}

fn rule_fix(rule: ManifestRule) -> &'static str {
    match rule {
        ManifestRule::Present => "feed it from a view in the manifest, or leave it out",
        ManifestRule::Most => "leave out what is not needed, or make two packages of it",
        ManifestRule::Name => "rename it in the manifest, as Prometheus has names: `lost_total`, `io_seconds`",
        ManifestRule::Scale => "leave `times` and `per` at 1, or say how many raw numbers make one of the unit",
        ManifestRule::Bounds => "list the upper bounds from the least to the greatest, without +Inf",
        ManifestRule::Source => {
            "name the map in the manifest as the BPF program does, or add the perf source to plugin.yaml"
        }
        ManifestRule::Size => "make the struct in the component the one in the BPF program, member by member",
        ManifestRule::Identity => "pick the identity's bytes within the struct that the map has",
        ManifestRule::Lookup => "look up a table of that list, by a field of the identity that has its length",
        ManifestRule::Grant => "add the table to `grants` in plugin.yaml",
        ManifestRule::Labels => {
            "give each of the family's labels one source: a column of the rows, a fixed text, or the CPU"
        }
        ManifestRule::Value => "feed the family a value of its kind (`value` in wit/decoder.wit)",
        ManifestRule::Number => {
            "take offset and size from the struct in the BPF program; slots are one more than bounds"
        }
    }
}

/// Advice about entries that have no answer.
pub(super) fn decode_fix(fault: &DecodeError) -> &'static str {
    match fault {
        DecodeError::Answer(_) => "answer for every entry of a batch: `count` × `columns` labels, refused entries too",
        DecodeError::Call(CallError::Deadline { .. }) => "do less for an entry, or raise limits.decode in plugin.yaml",
        DecodeError::Call(CallError::Memory { .. }) => "keep less, or raise limits.memory in plugin.yaml",
        DecodeError::Call(CallError::Copied { .. }) => "list each text once in the dictionary, and shorten labels",
        DecodeError::Start(_) | DecodeError::Call(_) => {
            "refuse what is not understood (`unknown`) instead of trapping: the host has to set such entries aside"
        }
    }
}
