//! `ebhost push`, `pull`, `verify` and `search`: packages in OCI registries.
//!
//! These are commands of their own, which need no privilege and give up those they have before they talk to a registry. The host takes
//! what `pull` wrote by its ordinary reload.

#![allow(clippy::print_stdout, reason = "the output of the commands")]

mod args;
mod password;
mod pull;
mod push;
mod search;
mod verify;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use args::{PullArgs, PushArgs, SearchArgs, VerifyArgs};
pub(crate) use {pull::pull, push::push, search::search, verify::verify};

use ebhost_confine::Capabilities;
use ebhost_package::PackageError;
use ebhost_registry::{
    CertificateError, Certificates, CopyError, CredentialsError, DraftError, FetchError, FolderError, InstallError,
    KeyError, LockError, PinsError, PolicyError, Session, SignatureError, StoreError,
};

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Package(#[from] PackageError),
    #[error("{package}: does not load, so it is not pushed; `ebhost check` says why")]
    Unsound { package: PathBuf },
    #[error(transparent)]
    Draft(#[from] DraftError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Copy(#[from] CopyError),
    #[error(transparent)]
    Signature(#[from] SignatureError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Install(#[from] InstallError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Lock(#[from] LockError),
    #[error(transparent)]
    Pins(#[from] PinsError),
    #[error("{reference}: found no tag and the package has no version, expected one of the two; try {reference}:1.0.0")]
    NoTag { reference: String },
    #[error("{reference}: found a digest, expected none: it follows from what is pushed")]
    Digest { reference: String },
    #[error("found neither a reference nor --locked FILE, expected what to pull")]
    Nothing,
    #[error("{0}")]
    Arguments(String),
    #[error("{path}: cannot be listed: {source}")]
    List { path: PathBuf, source: io::Error },
    #[error("capabilities cannot be given up: {0}")]
    Capabilities(#[source] io::Error),
}

/// The path of `oci:PATH`; none: it is something else.
fn layout(text: &str) -> Option<&Path> {
    text.strip_prefix("oci:").filter(|path| !path.is_empty()).map(Path::new)
}

/// Gives up every capability but those to read and write files as root does, before anything of a registry is read.
fn give_up_privileges() -> Result<(), FleetError> {
    ebhost_confine::keep_only(Capabilities::DAC_OVERRIDE).map_err(FleetError::Capabilities)
}

/// A session with the user's credentials and certificates.
fn session(connection: &args::ConnectionArgs) -> Result<Session, FleetError> {
    give_up_privileges()?;
    let certificates = Certificates::read(&connection.ca_files)?;
    Ok(Session::new(ebhost_registry::Credentials::read()?, certificates, connection.plain_http()))
}
