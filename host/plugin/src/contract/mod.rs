//! The contract with components, one module per version.
//!
//! Everything else in the host sees the types of [`declared`] and [`rows`], never a generated one: the generated modules are private to
//! the version that they belong to. A new version is a module beside [`v0_1`] and one more element of [`VERSIONS`]; a component
//! keeps being served by the version that it was built for. The engine's linker has the imports of all versions at once.
//!
//! [`spans`] is an optional export beside any version, in a package of its own (`wit/spans`).

mod convert;
pub(crate) mod declared;
mod dictionary;
pub(crate) mod rows;
mod spans;
#[cfg(test)]
mod testdata;
mod v0_1;
#[cfg(test)]
mod v0_2_test;

use std::fmt::Write as _;

use wasmtime::{
    Store,
    component::{InstancePre, Linker},
};

pub(crate) use dictionary::STRING_BYTES;

use self::{declared::Manifest, rows::Rows};
use crate::{
    decode::{DecodeRequest, SpanAnswer, SpanRequest},
    engine::listed,
    guest::Guest,
};
use ebhost_limits as limits;
use ebhost_telemetry::one_line;

/// The contract's package, as component names carry it.
pub(crate) const PACKAGE: &str = "ebhost:plugin";

/// The versions that this host serves, the newest first.
const VERSIONS: &[&dyn Contract] = &[
    #[cfg(test)]
    &v0_2_test::V0_2,
    &v0_1::V0_1,
];

/// One version of the contract.
pub(crate) trait Contract: Sync {
    /// The version, such as `0.1.0`.
    fn version(&self) -> &'static str;

    /// Adds what a component of this version may import.
    ///
    /// # Errors
    /// The linker has an import of that name already.
    fn add_imports(&self, linker: &mut Linker<Guest>) -> wasmtime::Result<()>;

    /// Looks up the exports of a component whose imports are resolved.
    ///
    /// # Errors
    /// An export is missing or has another type.
    fn bind(&self, component: InstancePre<Guest>) -> wasmtime::Result<Box<dyn BoundComponent>>;
}

/// A component with known exports, ready to be instantiated any number of times.
pub(crate) trait BoundComponent: Send + Sync {
    /// Instantiates the component in `store` and calls `describe`, which the contract makes the first call of every instance.
    ///
    /// # Errors
    /// The guest trapped or exceeded a limit of its store.
    fn describe(&self, store: &mut Store<Guest>, config: &str) -> wasmtime::Result<Described>;
}

/// The result of `describe`.
pub(crate) enum Described {
    /// The manifest, and the function that decodes in the same instance.
    Manifest(Manifest, Box<dyn Decoder>),
    /// The guest refuses its config, for the reason that it gives.
    ConfigRefused(String),
}

/// The function `decode` of one instance.
pub(crate) trait Decoder: Send {
    /// Calls the guest. `store` is the one that the instance lives in.
    ///
    /// # Errors
    /// The guest trapped or exceeded a limit of its store.
    fn decode(&self, store: &mut Store<Guest>, request: DecodeRequest) -> wasmtime::Result<Rows>;

    /// Calls the guest's `decode` of spans. Only a component whose manifest has sources of spans is asked.
    ///
    /// # Errors
    /// The guest trapped or exceeded a limit of its store, or exports no spans.
    fn spans(&self, _: &mut Store<Guest>, _: SpanRequest) -> wasmtime::Result<SpanAnswer> {
        Err(wasmtime::format_err!("exports no spans"))
    }
}

/// Adds the imports of every version.
pub(crate) fn add_imports(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    VERSIONS.iter().try_for_each(|contract| contract.add_imports(linker))
}

/// Whether a component may import `name`: the interface `log` of any version.
pub(crate) fn is_allowed_import(name: &str) -> bool {
    name.strip_prefix(PACKAGE).is_some_and(|rest| rest.starts_with("/log@"))
}

/// The newest version that a component with these exports can be served by. Patch releases of one version are interchangeable.
///
/// # Errors
/// There is none; the error says which version or exports were found.
pub(crate) fn detect(exports: &[&str]) -> Result<&'static dyn Contract, String> {
    let spoken: Vec<_> = exports.iter().filter_map(|export| decoder_version(export)).collect();
    let serves = |contract: &&&dyn Contract| spoken.iter().any(|found| minor(found) == minor(contract.version()));
    if let Some(contract) = VERSIONS.iter().find(serves) {
        return Ok(*contract);
    }
    Err(match spoken.first() {
        Some(version) => format!("speaks contract {}", one_line(version, limits::NAME_BYTES_SHOWN)),
        None => listed(exports.iter().copied())
            .map_or_else(|| "exports nothing".to_owned(), |names| format!("exports {names}")),
    })
}

/// The exports of which a component needs one, for messages.
pub(crate) fn expected_exports() -> String {
    let mut names = String::new();
    for contract in VERSIONS.iter().rev() {
        let separator = if names.is_empty() { "" } else { " or " };
        // Writing into a string does not fail.
        let _ = write!(names, "{separator}`{PACKAGE}/decoder@{}`", contract.version());
    }
    names
}

/// The version in the name of an exported interface `decoder`.
fn decoder_version(export: &str) -> Option<&str> {
    export.strip_prefix(PACKAGE)?.strip_prefix("/decoder@")
}

/// `0.1` of `0.1.3`.
fn minor(version: &str) -> &str {
    version.rsplit_once('.').map_or(version, |(minor, _)| minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detected(exports: &[&str]) -> Result<&'static str, String> {
        detect(exports).map(Contract::version)
    }

    #[test]
    fn a_patch_release_is_served_by_its_minor_version() {
        assert_eq!(detected(&["ebhost:plugin/decoder@0.1.0"]), Ok("0.1.0"));
        assert_eq!(detected(&["other:thing/it@1.0.0", "ebhost:plugin/decoder@0.1.7"]), Ok("0.1.0"));
    }

    #[test]
    fn a_component_of_two_versions_is_served_by_the_newer_one() {
        assert_eq!(detected(&["ebhost:plugin/decoder@0.1.0", "ebhost:plugin/decoder@0.2.0"]), Ok("0.2.0"));
    }

    #[test]
    fn a_component_of_no_served_version_is_told_what_it_exports() {
        assert_eq!(detected(&["ebhost:plugin/decoder@0.9.0"]), Err("speaks contract 0.9.0".to_owned()));
        assert_eq!(detected(&["ebhost:plugin/decoder@1"]), Err("speaks contract 1".to_owned()));
        assert_eq!(detected(&["a:b/c@1.0.0", "f"]), Err("exports `a:b/c@1.0.0`, `f`".to_owned()));
        assert_eq!(detected(&[]), Err("exports nothing".to_owned()));
    }

    #[test]
    fn only_the_log_may_be_imported() {
        assert!(is_allowed_import("ebhost:plugin/log@0.1.0"));
        for import in ["ebhost:plugin/decoder@0.1.0", "ebhost:plugin/logs@0.1.0", "wasi:cli/environment@0.2.0", "log"] {
            assert!(!is_allowed_import(import), "{import}");
        }
    }
}
