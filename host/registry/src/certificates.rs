//! Certificates for registries: the authorities that theirs are checked by, and certificates of our own for registries that ask for one.
//!
//! Authorities are the system's, or in their place those of `$SSL_CERT_FILE` and `$SSL_CERT_DIR`; then those of `--ca-file`; and for one registry those of
//! its folder in `certs.d` (containers-certs.d(5)), where podman, skopeo and docker look as well. A certificate is never accepted unchecked.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use ebhost_limits as limits;

/// The folders of `certs.d` for all users, behind that of the user.
const SYSTEM_FOLDERS: [&str; 2] = ["/etc/containers/certs.d", "/etc/docker/certs.d"];

/// Variables that name authorities in the place of the system's.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("{path}: cannot be read: {source}; certificates for registries are expected there")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: found {found} bytes, expected at most {}", limits::REGISTRY_FILE_BYTES)]
    TooLarge { path: PathBuf, found: u64 },
    #[error("{path}: found no {expected}, expected one in PEM")]
    Empty { path: PathBuf, expected: &'static str },
    #[error("{variable}: found no certificate of an authority in `{value}`, expected some in PEM{why}")]
    Variable { variable: &'static str, value: String, why: String },
}

/// Where certificates are, and the authorities for all registries.
#[derive(Debug)]
pub struct Certificates {
    authorities: Vec<Certificate<'static>>,
    /// Each may have a folder named as a registry; the first that has one counts.
    folders: Vec<PathBuf>,
}

impl Certificates {
    /// Reads the authorities for all registries: the system's, or those that variables name, and these files.
    ///
    /// # Errors
    /// A file cannot be read, or has no certificate in it.
    pub fn read(ca_files: &[PathBuf]) -> Result<Self, CertificateError> {
        let found = rustls_native_certs::load_native_certs();
        let named = VARIABLES.into_iter().find_map(|name| Some((name, env::var_os(name)?)));
        if let (Some((variable, value)), true) = (named, found.certs.is_empty()) {
            let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(CertificateError::Variable { variable, value: value.to_string_lossy().into_owned(), why });
        }
        let system = found.certs.iter().map(|certificate| Certificate::from_der(certificate).to_owned());
        let mut authorities: Vec<_> = system.collect();
        for path in ca_files {
            authorities.extend(certificates(path)?);
        }
        let home = env::var_os("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
        let own = home.map(|home| home.join(".config/containers/certs.d"));
        Ok(Self { authorities, folders: own.into_iter().chain(SYSTEM_FOLDERS.map(PathBuf::from)).collect() })
    }

    /// How TLS is spoken to registries that have no folder of their own.
    pub(crate) fn of_all(&self) -> TlsConfig {
        config(self.authorities.clone(), None)
    }

    /// How TLS is spoken to a registry, `HOST[:PORT]`, that has a folder of its own.
    ///
    /// # Errors
    /// A file of the folder cannot be read, or is not what its name says.
    pub(crate) fn of_registry(&self, registry: &str) -> Result<Option<TlsConfig>, CertificateError> {
        let Some(folder) = self.folders.iter().map(|folder| folder.join(registry)).find(|folder| folder.is_dir())
        else {
            return Ok(None);
        };
        let unreadable = |source| CertificateError::Unreadable { path: folder.clone(), source };
        let entries = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(unreadable)?;
        let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
        paths.sort_unstable();
        let with_extension = |wanted: &'static str| {
            paths.iter().filter(move |path| path.extension().is_some_and(|extension| extension == wanted))
        };
        let mut authorities = self.authorities.clone();
        for path in with_extension("crt") {
            authorities.extend(certificates(path)?);
        }
        // NAME.cert belongs to NAME.key. Of several pairs the last is shown, as containers' tools do.
        let client = with_extension("cert").next_back().map(|path| client(path)).transpose()?;
        Ok(Some(config(authorities, client)))
    }
}

fn config(authorities: Vec<Certificate<'static>>, client: Option<ClientCert>) -> TlsConfig {
    TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(authorities)))
        .client_cert(client)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build()
}

/// The client's certificate in a file, with the key beside it.
fn client(path: &Path) -> Result<ClientCert, CertificateError> {
    let key = path.with_extension("key");
    let private = PrivateKey::from_pem(&read(&key)?)
        .map_err(|_| CertificateError::Empty { path: key, expected: "private key" })?;
    Ok(ClientCert::new_with_certs(&certificates(path)?, private))
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, CertificateError> {
    let text = read(path)?;
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    let found: Vec<_> = parse_pem(&text).filter_map(certificate).collect();
    if found.is_empty() {
        return Err(CertificateError::Empty { path: path.to_owned(), expected: "certificate" });
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |source| CertificateError::Unreadable { path: path.to_owned(), source };
    let found = fs::metadata(path).map_err(unreadable)?.len();
    if found > limits::REGISTRY_FILE_BYTES {
        return Err(CertificateError::TooLarge { path: path.to_owned(), found });
    }
    fs::read(path).map_err(unreadable)
}
