//! What is known of this build.

use ebhost_telemetry::BuildInfo;

/// The build that this binary is.
pub const BUILD: BuildInfo =
    BuildInfo { version: env!("CARGO_PKG_VERSION"), revision: env!("EBHOST_REVISION"), rustc: env!("EBHOST_RUSTC") };

/// One line of it all, for `--version`.
pub const LINE: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("EBHOST_REVISION"),
    ", rustc ",
    env!("EBHOST_RUSTC"),
    ", contract ebhost:plugin@0.1.0)"
);
