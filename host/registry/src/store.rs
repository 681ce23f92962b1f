//! Where artifacts are: a repository of a registry, or a layout folder. Both are asked the same, and neither is believed: every blob is compared
//! with its digest.

use std::{io, path::PathBuf};

use crate::{
    certificates::CertificateError,
    digest::OciDigest,
    manifest::{Descriptor, RawManifest},
    reference::ManifestName,
    tls_fault::TlsFault,
};
use ebhost_limits as limits;
use ebhost_telemetry::one_line;

/// Why a registry or layout folder did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("{url}: no answer: {source}; is this the registry, and does it listen there?")]
    NoAnswer { url: String, source: Box<ureq::Error> },
    #[error("{url}: found a certificate that is refused: {why}")]
    Certificate { url: String, why: String, source: Box<ureq::Error> },
    #[error("{url}: found no TLS ({source}), expected a registry that speaks it; --plain-http speaks HTTP without TLS")]
    NoTls { url: String, source: Box<ureq::Error> },
    #[error(
        "{url}: found status {status}{text}, expected a registry that takes HTTP without TLS; try --plain-http=false, which speaks TLS to this machine as well"
    )]
    SpeaksTls { url: String, status: u16, text: String },
    #[error(transparent)]
    Certificates(#[from] CertificateError),
    #[error("{url}: the answer was cut short: {source}; try again")]
    CutShort { url: String, source: io::Error },
    #[error("{url}: found status {status}{text}, expected {expected}")]
    Refused { url: String, status: u16, text: String, expected: &'static str },
    #[error("{registry} asks for credentials (status {status}{text}): {hint}")]
    Credentials { registry: String, status: u16, text: String, hint: String },
    #[error("{url}: found {found}, expected {expected}")]
    Strange { url: String, found: String, expected: &'static str },
    #[error(
        "{place}: found {found} bytes, expected {expected}: the download was cut short, or the blob is another one; try again"
    )]
    Size { place: String, found: u64, expected: u64 },
    #[error(
        "{place}: found the digest {found}, expected {expected}: the content was changed on the way or in the registry; nothing of it is used"
    )]
    Digest { place: String, found: OciDigest, expected: OciDigest },
    #[error("{place}: found more than {most} bytes, expected {what} of {most} at most")]
    TooLarge { place: String, what: &'static str, most: u64 },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error(
        "{path}: found {found}, expected an OCI layout folder, as `ebhost pull --to oci:PATH` and `skopeo copy` write them"
    )]
    NoLayout { path: PathBuf, found: String },
}

/// A repository or a layout folder.
pub trait Store {
    /// Its name in messages.
    fn name(&self) -> String;

    /// A manifest or index; none if there is none of that name.
    ///
    /// # Errors
    /// No answer, or one that is no manifest.
    fn manifest(&self, name: &ManifestName) -> Result<Option<RawManifest>, StoreError>;

    /// The index of the manifests that refer to a digest, if the store keeps such a list itself; else it is under [`OciDigest::referrers_tag`].
    ///
    /// # Errors
    /// No answer.
    fn referrers(&self, digest: OciDigest) -> Result<Option<RawManifest>, StoreError> {
        let _ = digest;
        Ok(None)
    }

    /// The bytes of a blob, at most one more than the descriptor says. [`blob`] compares them.
    ///
    /// # Errors
    /// No answer, or no such blob.
    fn raw_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError>;

    /// Stores a blob, unless it is there.
    ///
    /// # Errors
    /// It was not taken.
    fn put_blob(&self, bytes: &[u8]) -> Result<(), StoreError>;

    /// Stores a manifest whose blobs are there.
    ///
    /// # Errors
    /// It was not taken.
    fn put_manifest(&self, manifest: &RawManifest, name: &ManifestName) -> Result<(), StoreError>;
}

/// A blob with the size and the digest of its descriptor.
///
/// # Errors
/// There is no such blob, or it is another one.
pub fn blob(store: &dyn Store, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
    let bytes = store.raw_blob(descriptor)?;
    let place = || format!("{}: blob {}", store.name(), descriptor.digest);
    if bytes.len() as u64 != descriptor.size {
        return Err(StoreError::Size { place: place(), found: bytes.len() as u64, expected: descriptor.size });
    }
    let found = OciDigest::of(&bytes);
    if found != descriptor.digest {
        return Err(StoreError::Digest { place: place(), found, expected: descriptor.digest });
    }
    Ok(bytes)
}

/// A blob that is small: a signature, a configuration.
///
/// # Errors
/// As of [`blob`], or it is too large.
pub(crate) fn small_blob(store: &dyn Store, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
    if descriptor.size > limits::REGISTRY_ANSWER_BYTES {
        let place = format!("{}: blob {}", store.name(), descriptor.digest);
        return Err(StoreError::TooLarge { place, what: "a signature", most: limits::REGISTRY_ANSWER_BYTES });
    }
    blob(store, descriptor)
}

/// A manifest, which has the digest if it was asked for by one.
///
/// # Errors
/// It is not what it was asked for by, or too large.
pub(crate) fn manifest(store: &dyn Store, name: &ManifestName) -> Result<Option<RawManifest>, StoreError> {
    let Some(manifest) = store.manifest(name)? else { return Ok(None) };
    let found = manifest.digest();
    match name {
        ManifestName::Digest(expected) if *expected != found => {
            let place = format!("{}: manifest", store.name());
            Err(StoreError::Digest { place, found, expected: *expected })
        }
        _ => Ok(Some(manifest)),
    }
}

impl StoreError {
    /// The error of a request that was not answered.
    pub(crate) fn no_answer(url: &str, error: ureq::Error) -> Self {
        let (url, fault, source) = (url.to_owned(), TlsFault::of(&error), Box::new(error));
        match fault {
            Some(TlsFault::Certificate(why)) => Self::Certificate { url, why, source },
            Some(TlsFault::NoTls) => Self::NoTls { url, source },
            None => Self::NoAnswer { url, source },
        }
    }
}

/// The text of a registry, as a part of a message: ``, `…` ``, or nothing if there is none.
pub(crate) fn quoted(text: &[u8]) -> String {
    let text = one_line(String::from_utf8_lossy(text).trim(), limits::REGISTRY_TEXT_BYTES);
    if text.is_empty() { text } else { format!(", `{text}`") }
}
