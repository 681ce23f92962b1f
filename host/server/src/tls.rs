//! TLS from `tls_server_config`: rustls with ring, TLS 1.2 and 1.3.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, PrivateKeyDer, UnixTime, pem::PemObject as _},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
    version::{TLS12, TLS13},
};
use serde::Deserialize;
use tokio_rustls::TlsAcceptor;

use super::client_names::AllowedNames;

/// `tls_server_config` as written in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    cert: Option<String>,
    key: Option<String>,
    client_ca_file: Option<PathBuf>,
    client_ca: Option<String>,
    client_auth_type: Option<String>,
    #[serde(default)]
    client_allowed_sans: Vec<String>,
    min_version: Option<String>,
    max_version: Option<String>,
    #[serde(default)]
    cipher_suites: Vec<String>,
    #[serde(default)]
    curve_preferences: Vec<String>,
    prefer_server_cipher_suites: Option<bool>,
}

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: cannot be read: {error}")]
    Read { path: PathBuf, error: io::Error },
    #[error("{place}: found no {expected} in PEM")]
    Pem { place: String, expected: &'static str },
    #[error("found {found}, expected {expected}")]
    Value { found: String, expected: String },
    #[error("certificate and key cannot be used: {0}")]
    Refused(Error),
    #[error("`client_ca` cannot be used: {0}")]
    ClientCa(String),
}

type Checked<T> = Result<T, TlsError>;

impl Raw {
    /// The files that it refers to.
    pub(super) fn files(&self, folder: &Path) -> Vec<PathBuf> {
        [&self.cert_file, &self.key_file, &self.client_ca_file].into_iter().flatten().map(|f| folder.join(f)).collect()
    }
}

/// An acceptor with the settings of the file; paths are relative to its folder.
pub(super) fn acceptor(raw: &Raw, folder: &Path) -> Checked<TlsAcceptor> {
    let (cert, key) = pair(raw)?;
    let versions = versions(raw)?;
    let provider = Arc::new(provider(raw)?);
    let cert = text(cert, folder)?;
    let key = text(key, folder)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&cert.1)
        .collect::<Result<_, _>>()
        .ok()
        .filter(|chain: &Vec<_>| !chain.is_empty())
        .ok_or(TlsError::Pem { place: cert.0, expected: "certificate" })?;
    let key = PrivateKeyDer::from_pem_slice(&key.1)
        .map_err(|_| TlsError::Pem { place: key.0, expected: "private key without a passphrase" })?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions)
        .map_err(TlsError::Refused)?;
    let builder = match clients(raw, folder, &provider)? {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(verifier),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Refused)?;
    config.ignore_client_order = raw.prefer_server_cipher_suites.unwrap_or(true);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A PEM text, inline or in a file.
#[derive(Clone, Copy)]
enum Source<'a> {
    File(&'a Path),
    Inline(&'static str, &'a str),
}

/// Its name, for messages, and its bytes.
fn text(source: Source<'_>, folder: &Path) -> Checked<(String, Vec<u8>)> {
    match source {
        Source::Inline(name, text) => Ok((format!("`{name}`"), text.as_bytes().to_vec())),
        Source::File(path) => {
            let path = folder.join(path);
            let bytes = fs::read(&path).map_err(|error| TlsError::Read { path: path.clone(), error })?;
            Ok((path.display().to_string(), bytes))
        }
    }
}

fn pair(raw: &Raw) -> Checked<(Source<'_>, Source<'_>)> {
    let one = |file: &'static str, path: &Option<PathBuf>, inline: &Option<String>| match (path, inline) {
        (Some(_), Some(_)) => Err(TlsError::Value {
            found: format!("both `{file}` and its text in the file"),
            expected: "one of them".to_owned(),
        }),
        _ => Ok(()),
    };
    one("cert_file", &raw.cert_file, &raw.cert)?;
    one("key_file", &raw.key_file, &raw.key)?;
    let cert = source("cert", raw.cert_file.as_deref(), raw.cert.as_deref());
    let key = source("key", raw.key_file.as_deref(), raw.key.as_deref());
    match (cert, key) {
        (Some(cert), Some(key)) => Ok((cert, key)),
        (cert, key) => {
            let found = match (cert.is_some(), key.is_some()) {
                (true, _) => "`cert_file` without `key_file`",
                (_, true) => "`key_file` without `cert_file`",
                _ => "neither `cert_file` nor `key_file`",
            };
            Err(TlsError::Value { found: found.to_owned(), expected: "both".to_owned() })
        }
    }
}

fn source<'a>(name: &'static str, file: Option<&'a Path>, inline: Option<&'a str>) -> Option<Source<'a>> {
    file.map(Source::File).or(inline.map(|text| Source::Inline(name, text)))
}

fn versions(raw: &Raw) -> Checked<Vec<&'static SupportedProtocolVersion>> {
    let number = |version: &Option<String>, default: u8| match version.as_deref() {
        None => Ok(default),
        Some("TLS12") => Ok(2),
        Some("TLS13") => Ok(3),
        Some(other) => Err(TlsError::Value { found: format!("`{other}`"), expected: "TLS12 or TLS13".to_owned() }),
    };
    let (least, most) = (number(&raw.min_version, 2)?, number(&raw.max_version, 3)?);
    let all = [(2, &TLS12), (3, &TLS13)];
    let chosen: Vec<_> =
        all.into_iter().filter(|(number, _)| (least..=most).contains(number)).map(|(_, version)| version).collect();
    if chosen.is_empty() {
        let found = "a `min_version` above `max_version`".to_owned();
        return Err(TlsError::Value { found, expected: "TLS12 and TLS13, in this order".to_owned() });
    }
    Ok(chosen)
}

/// ring's algorithms, or those of them that the file names, in Go's names as the toolkit has them.
fn provider(raw: &Raw) -> Checked<CryptoProvider> {
    let mut provider = ring::default_provider();
    if !raw.cipher_suites.is_empty() {
        let go_name = |suite: &rustls::SupportedCipherSuite| {
            format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1).replace("_POLY1305_SHA256", "_POLY1305")
        };
        let all: Vec<_> = provider.cipher_suites.iter().map(|suite| (go_name(suite), *suite)).collect();
        let find = |name: &String| {
            let wanted = name.replace("_POLY1305_SHA256", "_POLY1305");
            let found = all.iter().find(|(known, _)| *known == wanted).map(|(_, suite)| *suite);
            let names = || all.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
            found.ok_or_else(|| TlsError::Value { found: format!("the cipher suite `{name}`"), expected: names() })
        };
        provider.cipher_suites = raw.cipher_suites.iter().map(find).collect::<Checked<_>>()?;
    }
    if !raw.curve_preferences.is_empty() {
        let find = |name: &String| {
            let group = match name.as_str() {
                "CurveP256" => ring::kx_group::SECP256R1,
                "CurveP384" => ring::kx_group::SECP384R1,
                "X25519" => ring::kx_group::X25519,
                _ => {
                    let expected = "CurveP256, CurveP384 or X25519".to_owned();
                    return Err(TlsError::Value { found: format!("the curve `{name}`"), expected });
                }
            };
            Ok(group)
        };
        provider.kx_groups = raw.curve_preferences.iter().map(find).collect::<Checked<_>>()?;
    }
    Ok(provider)
}

/// The verifier of clients' certificates; `None` if they are not asked for.
fn clients(raw: &Raw, folder: &Path, provider: &Arc<CryptoProvider>) -> Checked<Option<Arc<dyn ClientCertVerifier>>> {
    let ca = source("client_ca", raw.client_ca_file.as_deref(), raw.client_ca.as_deref());
    let kind = raw.client_auth_type.as_deref().unwrap_or("NoClientCert");
    if ca.is_some() && !matches!(kind, "VerifyClientCertIfGiven" | "RequireAndVerifyClientCert") {
        let found = format!("a client CA with `client_auth_type: {kind}`");
        return Err(TlsError::Value {
            found,
            expected: "RequireAndVerifyClientCert or VerifyClientCertIfGiven".to_owned(),
        });
    }
    if ca.is_none() && !raw.client_allowed_sans.is_empty() {
        let found =
            "`client_allowed_sans` without a client CA, so that anybody could have written the names".to_owned();
        return Err(TlsError::Value { found, expected: "a `client_ca_file` with it".to_owned() });
    }
    let unverified = |is_mandatory| -> Arc<dyn ClientCertVerifier> {
        Arc::new(Unverified { provider: provider.clone(), is_mandatory })
    };
    match kind {
        "" | "NoClientCert" => Ok(None),
        "RequestClientCert" => Ok(Some(unverified(false))),
        "RequireAnyClientCert" => Ok(Some(unverified(true))),
        "VerifyClientCertIfGiven" => verified(ca, folder, provider, true).map(|all| Some(named(raw, all))),
        "RequireAndVerifyClientCert" => verified(ca, folder, provider, false).map(|all| Some(named(raw, all))),
        other => Err(TlsError::Value {
            found: format!("`client_auth_type: {other}`"),
            expected: "NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or \
                       RequireAndVerifyClientCert"
                .to_owned(),
        }),
    }
}

/// Adds the condition of `client_allowed_sans`, if the file has it.
fn named(raw: &Raw, verifier: Arc<dyn ClientCertVerifier>) -> Arc<dyn ClientCertVerifier> {
    match raw.client_allowed_sans.clone() {
        empty if empty.is_empty() => verifier,
        allowed => Arc::new(AllowedNames { verifier, allowed }),
    }
}

fn verified(
    ca: Option<Source<'_>>,
    folder: &Path,
    provider: &Arc<CryptoProvider>,
    or_none: bool,
) -> Checked<Arc<dyn ClientCertVerifier>> {
    let Some(ca) = ca else {
        let found = "a `client_auth_type` that verifies and no `client_ca_file`".to_owned();
        return Err(TlsError::Value { found, expected: "both".to_owned() });
    };
    let (place, bytes) = text(ca, folder)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|_| TlsError::Pem { place: place.clone(), expected: "certificate" })?;
        roots.add(certificate).map_err(|error| TlsError::ClientCa(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TlsError::Pem { place, expected: "certificate" });
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let builder = if or_none { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| TlsError::ClientCa(error.to_string()))
}

/// Accepts any certificate whose private key the client has: `RequestClientCert` and `RequireAnyClientCert`.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
    is_mandatory: bool,
}

impl ClientCertVerifier for Unverified {
    fn client_auth_mandatory(&self) -> bool {
        self.is_mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
