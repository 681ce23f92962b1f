//! What is known of this build.

pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from, or `unknown`.
pub const REVISION: &str = env!("EBHOST_REVISION");

/// The compiler's version.
pub const RUSTC: &str = env!("EBHOST_RUSTC");

/// One line of it all, for `--version`.
pub const LINE: &str = concat!(
    env!("CARGO_PKG_VERSION"),
    " (revision ",
    env!("EBHOST_REVISION"),
    ", rustc ",
    env!("EBHOST_RUSTC"),
    ", contract ebhost:plugin@0.1.0)"
);
