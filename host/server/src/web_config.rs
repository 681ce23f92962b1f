//! The web configuration file, in the exporter toolkit's format: TLS, users, headers.
//!
//! A file becomes a checked `WebConfig` or an error that names file and place. It is read again when it or a file that it names has
//! changed, and on SIGHUP; a file that has become bad leaves what was good in force, and says so in the log.

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

/// Why a web configuration is not taken.
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

/// What is in force.
#[derive(Default)]
pub(super) struct WebConfig {
    pub(super) tls: Option<TlsAcceptor>,
    /// Empty: everybody may come in.
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
    /// Taken and of no effect: HTTP/1.1 is what is spoken.
    #[serde(default, rename = "http2")]
    _http2: Option<bool>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
}

/// The headers that the toolkit lets a file set.
const HEADERS: [&str; 5] = [
    "content-security-policy",
    "x-frame-options",
    "x-content-type-options",
    "x-xss-protection",
    "strict-transport-security",
];

impl WebConfig {
    /// Reads and checks a file; also gives the files that it depends on.
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
    // Never shown: somebody may have put the password itself here.
    if hash.parse::<bcrypt::HashParts>().is_err() {
        return Err(format!("{place}: found no bcrypt hash, expected one such as `htpasswd -nBC 10 {name}` prints"));
    }
    Ok((name, hash))
}

/// A web configuration that follows its file.
pub struct WebConfigFile {
    path: Option<PathBuf>,
    now: RwLock<Arc<WebConfig>>,
    seen: Mutex<Seen>,
}

/// What the files looked like when they were read, and when that was looked at last.
struct Seen {
    files: Vec<(PathBuf, Option<Stamp>)>,
    looked: Instant,
}

/// Size, time and number of a file: one that was replaced differs.
type Stamp = (u64, SystemTime, u64);

impl WebConfigFile {
    /// Reads the file; none: plain HTTP for everybody.
    pub fn open(path: Option<PathBuf>) -> Result<Self, WebConfigError> {
        let (config, files) = match &path {
            None => (WebConfig::default(), Vec::new()),
            Some(path) => WebConfig::read(path)?,
        };
        let seen = Seen { files: stamped(files), looked: Instant::now() };
        Ok(Self { path, now: RwLock::new(Arc::new(config)), seen: Mutex::new(seen) })
    }

    /// The file and those that it names, as they were when it was read.
    pub fn files(&self) -> Vec<PathBuf> {
        self.seen().files.iter().map(|(file, _)| file.clone()).collect()
    }

    /// What is in force, after a look at the files at most once a second, by a thread that may wait for a disk.
    pub(super) async fn current(self: &Arc<Self>) -> Arc<WebConfig> {
        if self.seen().begin_look() {
            let this = self.clone();
            let _ = spawn_blocking(move || this.look()).await; // were it to panic, what is in force stays
        }
        self.now.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file again, now.
    pub fn reload(&self) {
        let Some(path) = &self.path else { return };
        match WebConfig::read(path) {
            Ok((config, files)) => {
                self.seen().files = stamped(files);
                *self.now.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                info!(file = %path.display(), "web configuration read again");
            }
            Err(fault) => error!("the web configuration stays as it was: {fault}"),
        }
    }

    fn look(&self) {
        let before = self.seen().files.clone();
        let now = stamped(before.iter().map(|(file, _)| file.clone()).collect());
        if now != before {
            self.seen().files = now; // so that a bad file is reported once, not every second
            self.reload();
        }
    }

    /// Never held over a look at a file.
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Whether it is time to look; who asks looks.
    fn begin_look(&mut self) -> bool {
        let is_due = !self.files.is_empty() && self.looked.elapsed() >= limits::WEB_CONFIG_LOOK;
        if is_due {
            self.looked = Instant::now();
        }
        is_due
    }
}

fn stamped(files: Vec<PathBuf>) -> Vec<(PathBuf, Option<Stamp>)> {
    files.into_iter().map(|file| (file.clone(), stamp_of(&file))).collect()
}

fn stamp_of(file: &Path) -> Option<Stamp> {
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
