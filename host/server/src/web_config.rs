//! The web configuration file, in the exporter toolkit's format: TLS, users, headers.
//!
//! A file is parsed into a checked `WebConfig` or an error that names file and line. It is read again on SIGHUP and when it, or a
//! file that it refers to, has changed. If the new content is invalid, that is logged and the previous configuration stays in force.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use axum::http::{HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use super::{
    password::Users,
    tls::{self, TlsError},
};
use ebhost_limits as limits;
use ebhost_package::Diagnostic;

/// Why a web configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    #[error("{path}: cannot be read: {error}; expected the file that --web.config.file names")]
    Read { path: PathBuf, error: io::Error },
    #[error("{0}")]
    Invalid(Diagnostic),
    #[error("{path}: {why}")]
    Rejected { path: PathBuf, why: String },
    #[error("{path}: tls_server_config: {error}")]
    Tls { path: PathBuf, error: TlsError },
}

/// A checked web configuration.
#[derive(Default)]
pub(super) struct WebConfig {
    pub(super) tls: Option<TlsAcceptor>,
    /// If empty, no authentication is required.
    pub(super) users: Users,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    tls_server_config: Option<tls::Raw>,
    #[serde(default)]
    http_server_config: RawHttp,
    #[serde(default)]
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawHttp {
    /// Accepted without effect: only HTTP/1.1 is served.
    #[serde(default, rename = "http2")]
    _http2: Option<bool>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// The headers that may be set, as in the exporter toolkit.
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "strict-transport-security",
];

impl WebConfig {
    /// Reads and checks a file; also returns the files that it depends on.
    fn read(path: &Path) -> Result<(Self, Vec<PathBuf>), WebConfigError> {
        let text = fs::read_to_string(path).map_err(|error| WebConfigError::Read { path: path.into(), error })?;
        let raw = if text.trim().is_empty() {
            Raw::default()
        } else {
            serde_yaml::from_str(&text).map_err(|error| WebConfigError::Invalid(Diagnostic::of(path, &text, &error)))?
        };
        let reject = |why| WebConfigError::Rejected { path: path.into(), why };
        let headers = raw.http_server_config.headers.iter().map(|(name, value)| header(name, value));
        let headers = headers.collect::<Result<_, _>>().map_err(reject)?;
        let users = raw.basic_auth_users.into_iter().map(|(name, hash)| user(name, hash));
        let users = users.collect::<Result<_, _>>().map_err(reject)?;
        let mut files = vec![path.to_owned()];
        let tls = match raw.tls_server_config {
            None => None,
            Some(raw) => {
                let folder = path.parent().unwrap_or(Path::new(""));
                files.extend(raw.files(folder));
                let acceptor = tls::acceptor(&raw, folder);
                Some(acceptor.map_err(|error| WebConfigError::Tls { path: path.into(), error })?)
            }
        };
        Ok((Self { tls, users, headers }, files))
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.to_ascii_lowercase();
    let known = HEADERS
        .iter()
        .find(|known| **known == lower)
        .ok_or_else(|| format!("http_server_config.headers: found `{name}`, expected one of {}", HEADERS.join(", ")))?;
    let value = HeaderValue::from_str(value).map_err(|_| {
        format!("http_server_config.headers: found the value {value:?} of `{name}`, expected visible ASCII")
    })?;
    Ok((HeaderName::from_static(known), value))
}

fn user(name: String, hash: String) -> Result<(String, String), String> {
    let place = format!("basic_auth_users.{name}");
    if name.is_empty() || name.contains(':') {
        return Err(format!("{place}: found this name, expected one without `:`"));
    }
    // The value is not shown, because it may be a plain password.
    if hash.parse::<bcrypt::HashParts>().is_err() {
        return Err(format!("{place}: found no bcrypt hash, expected one such as `htpasswd -nBC 10 {name}` prints"));
    }
    Ok((name, hash))
}

/// A web configuration that is read again when its file changes.
pub struct WebConfigFile {
    path: Option<PathBuf>,
    current: RwLock<Arc<WebConfig>>,
    read: Mutex<ReadState>,
}

/// The files as they were when they were read, and when they were last checked.
struct ReadState {
    files: Vec<(PathBuf, Option<Stamp>)>,
    checked: Instant,
}

/// Size, modification time and inode number: a file that was replaced has another one.
type Stamp = (u64, SystemTime, u64);

impl WebConfigFile {
    /// Reads the file. Without one, plain HTTP is served to everybody.
    pub fn open(path: Option<PathBuf>) -> Result<Self, WebConfigError> {
        let (config, files) = match &path {
            None => (WebConfig::default(), Vec::new()),
            Some(path) => WebConfig::read(path)?,
        };
        let read = ReadState { files: file_stamps(files), checked: Instant::now() };
        Ok(Self { path, current: RwLock::new(Arc::new(config)), read: Mutex::new(read) })
    }

    /// The file, and the files that it referred to when it was read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.read_state().files.iter().map(|(file, _)| file.clone()).collect()
    }

    /// The configuration in force. At most once a second the files are checked first, on a thread that may block.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<WebConfig> {
        if self.read_state().begin_check() {
            let this = self.clone();
            let _ = spawn_blocking(move || this.check()).await; // if it panicked, the configuration would stay
        }
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again, now.
    pub fn reload(&self) {
        let Some(path) = &self.path else { return };
        match WebConfig::read(path) {
            Ok((config, files)) => {
                self.read_state().files = file_stamps(files);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                info!(file = %path.display(), "web configuration read again");
            }
            Err(fault) => error!("the web configuration stays as it was: {fault}"),
        }
    }

    fn check(&self) {
        let before = self.read_state().files.clone();
        let now = file_stamps(before.iter().map(|(file, _)| file.clone()).collect());
        if now != before {
            self.read_state().files = now; // so that a bad file is reported once, not every second
            self.reload();
        }
    }

    /// Never held while a file is read.
    fn read_state(&self) -> MutexGuard<'_, ReadState> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadState {
    /// Whether the files are to be checked now, by the caller.
    fn begin_check(&mut self) -> bool {
        let is_due = !self.files.is_empty() && self.checked.elapsed() >= limits::WEB_CONFIG_LOOK;
        if is_due {
            self.checked = Instant::now();
        }
        is_due
    }
}

fn file_stamps(files: Vec<PathBuf>) -> Vec<(PathBuf, Option<Stamp>)> {
    files.into_iter().map(|file| (file.clone(), file_stamp(&file))).collect()
}

fn file_stamp(file: &Path) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(file).ok()?;
    Some((found.len(), found.modified().unwrap_or(SystemTime::UNIX_EPOCH + Duration::from_secs(1)), found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WebConfig, String> {
        let path = std::env::temp_dir().join(format!("ebhost-web-{}-{:p}.yml", std::process::id(), text));
        fs::write(&path, text).unwrap();
        let read = WebConfig::read(&path).map(|(config, _)| config).map_err(|error| error.to_string());
        fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn users_and_headers_are_read() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!(
            "basic_auth_users: {{ ada: '{hash}' }}\nhttp_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\n"
        );
        let config = read(&text).ok().unwrap();
        assert_eq!(config.users["ada"], hash);
        assert_eq!(config.headers, [(HeaderName::from_static("x-frame-options"), HeaderValue::from_static("deny"))]);
        assert!(config.tls.is_none());
        assert!(read("").is_ok_and(|config| config.users.is_empty()), "an empty file asks for nothing");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("basic_auth_users: { ada: secret }", "basic_auth_users.ada: found no bcrypt hash, expected one such as"),
            ("basic_auth_user: {}", "unknown field `basic_auth_user`"),
            (
                "http_server_config: { headers: { Server: x } }",
                "found `Server`, expected one of content-security-policy",
            ),
            ("tls_server_config: { cert_file: /none, key_file: /none }", "/none: cannot be read"),
            ("tls_server_config: { cert_file: x }", "found `cert_file` without `key_file`"),
            (
                "tls_server_config: { cert_file: x, key_file: y, min_version: SSL3 }",
                "found `SSL3`, expected TLS12 or TLS13",
            ),
        ] {
            let message = read(text).err().unwrap_or_default();
            assert!(message.contains(expected), "{text}: {message}");
            assert!(!message.contains("secret"), "a password is never shown: {message}");
        }
    }
}
