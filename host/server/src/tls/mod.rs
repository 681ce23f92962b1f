//! TLS from `tls_server_config`: rustls with ring, TLS 1.2 and 1.3.

mod algorithms;
mod client_names;
mod clients;
mod pinned;
mod wrapped;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    Error, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use tokio_rustls::TlsAcceptor;

pub(super) use clients::ClientPolicy;

use super::web_config::{RawTls, ReadFileError, read_file};
use algorithms::Algorithms;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error(transparent)]
    Read(#[from] ReadFileError),
    #[error("{place}: found no {expected} in PEM")]
    Pem { place: String, expected: &'static str },
    #[error("found {found}, expected {expected}")]
    Value { found: String, expected: String },
    #[error("certificate and key cannot be used: {0}")]
    Refused(#[source] Error),
    #[error("`client_ca` cannot be used: {0}")]
    ClientCa(String),
}

type Checked<T> = Result<T, TlsError>;

/// TLS as it is served.
pub(super) struct Tls {
    pub(super) acceptor: TlsAcceptor,
    pub(super) clients: ClientPolicy,
}

/// Whether `auth_excluded_paths` has any: a client without a certificate may then ask for these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExcludedPaths {
    None,
    Some,
}

impl ExcludedPaths {
    pub(super) fn of(paths: &BTreeSet<String>) -> Self {
        if paths.is_empty() { Self::None } else { Self::Some }
    }
}

/// The files that a configuration refers to; relative paths are relative to `folder`.
pub(super) fn files(raw: &RawTls, folder: &Path) -> Vec<PathBuf> {
    [raw.cert_file(), raw.key_file(), raw.client_ca_file()]
        .into_iter()
        .flatten()
        .map(|file| folder.join(file))
        .collect()
}

/// TLS as the file asks for it; `None` if it asks for none. Where something is done more strictly than asked, a warning is added.
pub(super) fn configure(
    raw: &RawTls,
    folder: &Path,
    excluded: ExcludedPaths,
    warnings: &mut Vec<String>,
) -> Checked<Option<Tls>> {
    let Some((cert, key)) = pair(raw)? else { return Ok(None) };
    let Algorithms { provider, versions } = algorithms::choose(raw, warnings)?;
    let provider = Arc::new(provider);
    let cert = text(cert, folder)?;
    let key = text(key, folder)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert.bytes)
        .collect::<Result<_, _>>()
        .ok()
        .filter(|chain: &Vec<_>| !chain.is_empty())
        .ok_or(TlsError::Pem { place: cert.place, expected: "certificate" })?;
    let key = PrivateKeyDer::from_pem_slice(&key.bytes)
        .map_err(|_| TlsError::Pem { place: key.place, expected: "private key without a passphrase" })?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(TlsError::Refused)?;
    let clients = clients::Clients::of(raw, folder, &provider, excluded, warnings)?;
    let builder = match clients.verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Refused)?;
    config.ignore_client_order = raw.prefer_server_cipher_suites.is_none_or(|prefers| prefers.0);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Tls { acceptor: TlsAcceptor::from(Arc::new(config)), clients: clients.policy }))
}

/// A PEM text, inline or in a file.
#[derive(Clone, Copy)]
enum Source<'a> {
    File(&'a str),
    Inline(&'static str, &'a str),
}

/// A PEM text that was read, with its name for messages.
struct PemText {
    place: String,
    bytes: Vec<u8>,
}

fn text(source: Source<'_>, folder: &Path) -> Checked<PemText> {
    match source {
        Source::Inline(name, text) => Ok(PemText { place: format!("`{name}`"), bytes: text.as_bytes().to_vec() }),
        Source::File(path) => {
            let path = folder.join(path);
            Ok(PemText { bytes: read_file(&path)?, place: path.display().to_string() })
        }
    }
}

/// Certificate and key; `None` if no key of the configuration has a value.
fn pair(raw: &RawTls) -> Checked<Option<(Source<'_>, Source<'_>)>> {
    let cert = source("cert", raw.cert_file(), raw.cert())?;
    let key = source("key", raw.key_file(), raw.key())?;
    let found = match (cert, key) {
        (Some(cert), Some(key)) => return Ok(Some((cert, key))),
        (Some(_), None) => "`cert_file` without `key_file`".to_owned(),
        (None, Some(_)) => "`key_file` without `cert_file`".to_owned(),
        (None, None) => match raw.key_without_certificate() {
            // Plain HTTP would be weaker than what was asked for.
            Some(key) => format!("`{key}` and no certificate"),
            None => return Ok(None),
        },
    };
    Err(TlsError::Value { found, expected: "both `cert_file` and `key_file`".to_owned() })
}

/// A PEM text that is given in a file or inline.
fn source<'a>(name: &'static str, file: Option<&'a str>, inline: Option<&'a str>) -> Checked<Option<Source<'a>>> {
    match (file, inline) {
        (Some(_), Some(_)) => Err(TlsError::Value {
            found: format!("both `{name}_file` and `{name}`"),
            expected: "one of them".to_owned(),
        }),
        (Some(file), None) => Ok(Some(Source::File(file))),
        (None, text) => Ok(text.map(|text| Source::Inline(name, text))),
    }
}
