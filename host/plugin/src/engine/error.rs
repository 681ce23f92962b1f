//! Files that cannot be served as components.

use std::{error::Error, io, path::PathBuf};

use crate::contract::{PACKAGE, expected_exports};
use ebhost_limits as limits;
use ebhost_telemetry::one_line;

/// A cause of another library.
type Cause = Box<dyn Error + Send + Sync>;

/// Why a file is not a component that this host can serve.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// This machine cannot run the engine.
    #[error("the WASM engine cannot be set up: {0}")]
    Engine(#[source] Cause),
    /// The thread that moves the epoch cannot be started.
    #[error("the ticker thread cannot be started: {0}")]
    Ticker(#[source] io::Error),
    /// The file is a core module.
    #[error(
        "{path}: found a core module, expected a component: make one with `wasm-tools component new`, or link with `wasm-component-ld`"
    )]
    CoreModule {
        /// The component's file.
        path: PathBuf,
    },
    /// The file is not WASM at all.
    #[error("{path}: found {found}, expected a WASM component: is this the right file?")]
    NotWasm {
        /// The component's file.
        path: PathBuf,
        /// A description of its first bytes.
        found: String,
    },
    /// The compiler could not or may not compile it.
    #[error("{path}: {source}")]
    Compile {
        /// The component's file.
        path: PathBuf,
        /// The compiler's error.
        source: Cause,
    },
    /// The machine kept it from being compiled, so that another try may succeed.
    #[error("{path}: {source}")]
    Compiler {
        /// The component's file.
        path: PathBuf,
        /// The compiler's error.
        source: Cause,
    },
    /// Its instances or its records would take too much of the host's memory.
    #[error("{path}: {source}")]
    TooLarge {
        /// The component's file.
        path: PathBuf,
        /// The limit.
        source: Cause,
    },
    /// The file is WASM, but not a valid component.
    #[error("{path}: is not a valid component: {why}; truncated, or made for an engine with other features?")]
    Invalid {
        /// The component's file.
        path: PathBuf,
        /// The validator's error.
        why: String,
    },
    /// The component imports something else than `log`.
    #[error(
        "{path}: imports {imports}, but a decoder may import `{PACKAGE}/log` alone: build it without WASI (wasm32-unknown-unknown) and without other hosts' interfaces"
    )]
    Import {
        /// The component's file.
        path: PathBuf,
        /// The names of all such imports.
        imports: String,
    },
    /// The component is of no contract version that this host serves.
    #[error("{path}: {found}, expected {}: build it against this host's wit/", expected_exports())]
    OtherContract {
        /// The component's file.
        path: PathBuf,
        /// Its version of the contract, or its exports.
        found: String,
    },
    /// The component exports a version's interface with other types.
    #[error("{path}: does not fit the contract {version}: {}", chain(.source.as_ref()))]
    Mismatch {
        /// The component's file.
        path: PathBuf,
        /// The contract's version.
        version: &'static str,
        /// The engine's error.
        source: Cause,
    },
}

impl ComponentError {
    /// Whether the machine is at fault, so that the same file may well load later.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Engine(_) | Self::Ticker(_) | Self::Compiler { .. })
    }
}

/// An error and its causes, the outermost first.
fn chain(error: &(dyn Error + Send + Sync)) -> String {
    let mut text = one_line(&error.to_string(), limits::LOG_BYTES);
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&one_line(&error.to_string(), limits::LOG_BYTES));
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that cannot load is not read again until it changes; one that the machine kept from loading is.
    #[test]
    fn only_faults_of_the_machine_may_pass() {
        let (path, cause) = (|| PathBuf::from("x.wasm"), || Cause::from("why"));
        for fault in [
            ComponentError::Engine(cause()),
            ComponentError::Ticker(io::ErrorKind::OutOfMemory.into()),
            ComponentError::Compiler { path: path(), source: cause() },
        ] {
            assert!(fault.may_pass(), "{fault}");
        }
        for fault in [
            ComponentError::CoreModule { path: path() },
            ComponentError::Compile { path: path(), source: cause() },
            ComponentError::TooLarge { path: path(), source: cause() },
            ComponentError::Invalid { path: path(), why: "why".into() },
        ] {
            assert!(!fault.may_pass(), "{fault}");
        }
    }
}
