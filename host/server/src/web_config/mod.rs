//! The web configuration file, in the exporter toolkit's format: TLS, users, headers, a rate limit.
//!
//! A file is parsed into a checked [`WebConfig`] or an error that names file and line. Where the file asks for more than can be done here,
//! what can be done is done if that is at least as strict, with a warning; anything weaker is an error. The file is read again on
//! SIGHUP and when it, or a file that it refers to, has changed ([`WebConfigFile`]).

mod rate_limit;
mod watch;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use axum::http::{HeaderName, HeaderValue};

pub(super) use rate_limit::RateLimit;
pub use watch::WebConfigFile;
pub(super) use yaml::RawTls;

use super::{
    password::Users,
    tls::{self, Tls, TlsError},
};
use ebhost_limits as limits;
use ebhost_package::Diagnostic;
use yaml::RawConfig;

/// Why a web configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum WebConfigError {
    #[error("{0}; expected the file that --web.config.file names")]
    Read(#[from] ReadFileError),
    #[error("{0}")]
    Invalid(Diagnostic),
    #[error("{path}: {why}")]
    Rejected { path: PathBuf, why: String },
    #[error("{path}: tls_server_config: {error}")]
    Tls {
        path: PathBuf,
        #[source]
        error: TlsError,
    },
    #[error(
        "{path}: found no {missing}, which is in force; authentication is switched off by a restart alone, so that a file that is being \
         written never does it"
    )]
    Weaker { path: PathBuf, missing: &'static str },
    #[error("{path}: it, or a file that it names, changed while it was read")]
    Changing { path: PathBuf },
}

/// Why a file is not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFileError {
    #[error("{path}: cannot be read: {error}{}", denied(path, error))]
    Io {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("{path}: found more than {} bytes, expected a file of at most as many", limits::WEB_CONFIG_BYTES)]
    TooLarge { path: PathBuf },
}

/// Explains a denial: under Landlock a file that a link leads to since the start may lie outside of what can be read.
fn denied(path: &Path, error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return String::new();
    }
    let place = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    format!(
        "; the file is {}. Under Landlock only folders that were known at the start can be read: restart ebhost if the file has moved to \
         another folder since, or use --landlock off",
        place.display()
    )
}

/// A checked web configuration.
#[derive(Default)]
pub(super) struct WebConfig {
    pub(super) tls: Option<Tls>,
    /// If empty, no password is required.
    pub(super) users: Users,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    pub(super) rate_limit: Option<RateLimit>,
    /// Paths that need neither a password nor a client certificate.
    pub(super) excluded_paths: BTreeSet<String>,
    /// Where less or other than the file asks for can be done.
    pub(super) warnings: Vec<String>,
}

/// A reading of a web configuration: the files that it depends on, and its result.
pub(super) struct Reading {
    pub(super) files: Vec<PathBuf>,
    pub(super) result: Result<WebConfig, WebConfigError>,
}

/// The headers that may be set, and the values of those that have a list of them, as in the exporter toolkit.
const HEADERS: [(&str, &[&str]); 5] = [
    ("content-security-policy", &[]),
    ("x-frame-options", &["deny", "sameorigin"]),
    ("x-content-type-options", &["nosniff"]),
    ("x-xss-protection", &[]),
    ("strict-transport-security", &[]),
];

/// The bytes of a file, which are bounded: a device such as /dev/zero has no end.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, ReadFileError> {
    let failed = |error| ReadFileError::Io { path: path.to_owned(), error };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(limits::WEB_CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limits::WEB_CONFIG_BYTES {
        return Err(ReadFileError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

impl WebConfig {
    /// Reads and checks a file. The files that it depends on are known even if it is refused.
    fn read(path: &Path) -> Reading {
        let mut files = vec![path.to_owned()];
        let result = Self::parse(path, &mut files);
        Reading { files, result }
    }

    fn parse(path: &Path, files: &mut Vec<PathBuf>) -> Result<Self, WebConfigError> {
        let reject = |why| WebConfigError::Rejected { path: path.into(), why };
        let text = String::from_utf8(read_file(path)?)
            .map_err(|_| reject("found bytes that are not UTF-8, expected YAML".to_owned()))?;
        let raw = if text.trim().is_empty() { RawConfig::default() } else { parse_yaml(path, &text)? };
        let folder = path.parent().unwrap_or(Path::new(""));
        if let Some(tls) = &raw.tls_server_config {
            files.extend(tls::files(tls, folder));
        }
        let mut warnings = Vec::new();
        let headers = raw.http_server_config.and_then(|http| http.headers).unwrap_or_default();
        let headers = headers.iter().filter(|(_, value)| !value.is_empty());
        let headers = headers.map(|(name, value)| header(name, value)).collect::<Result<_, _>>().map_err(reject)?;
        if raw.basic_auth_users.as_ref().is_some_and(BTreeMap::is_empty) {
            warnings.push("basic_auth_users has no user: no password is asked for".to_owned());
        }
        let users = raw.basic_auth_users.unwrap_or_default();
        let users = users.into_iter().map(|(name, hash)| user(name, hash)).collect::<Result<_, _>>().map_err(reject)?;
        let excluded_paths = raw.auth_excluded_paths.unwrap_or_default();
        let excluded_paths =
            excluded_paths.into_iter().map(excluded_path).collect::<Result<BTreeSet<_>, _>>().map_err(reject)?;
        let rate_limit = RateLimit::of(&raw.rate_limit.unwrap_or_default()).map_err(reject)?;
        let tls = match raw.tls_server_config {
            None => None,
            Some(raw) => tls::configure(&raw, folder, tls::ExcludedPaths::of(&excluded_paths), &mut warnings)
                .map_err(|error| WebConfigError::Tls { path: path.into(), error })?,
        };
        Ok(Self { tls, users, headers, rate_limit, excluded_paths, warnings })
    }

    /// A demand on clients that `self` makes and `other` does not; `None` if `other` is as strict.
    fn demands_more_than(&self, other: &Self) -> Option<&'static str> {
        if !self.users.is_empty() && other.users.is_empty() {
            return Some("`basic_auth_users`");
        }
        match (&self.tls, &other.tls) {
            (None, _) => None,
            (Some(_), None) => Some("`tls_server_config` with a certificate"),
            (Some(before), Some(after)) => before.clients.demands_more_than(&after.clients),
        }
    }
}

fn parse_yaml(path: &Path, text: &str) -> Result<RawConfig, WebConfigError> {
    ebhost_package::check_depth(path, text).map_err(WebConfigError::Invalid)?;
    serde_yaml::from_str(text).map_err(|error| WebConfigError::Invalid(Diagnostic::of(path, text, &error)))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let lower = name.to_ascii_lowercase();
    let (known, values) = HEADERS.into_iter().find(|(known, _)| *known == lower).ok_or_else(|| {
        let names = HEADERS.map(|(name, _)| name).join(", ");
        format!("http_server_config.headers: found `{name}`, expected one of {names}")
    })?;
    let is_allowed = values.is_empty() || values.iter().any(|allowed| allowed.eq_ignore_ascii_case(value));
    if !is_allowed {
        let values = values.join(" or ");
        return Err(format!("http_server_config.headers.{name}: found {value:?}, expected {values}"));
    }
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

fn excluded_path(path: String) -> Result<String, String> {
    if path.starts_with('/') {
        Ok(path)
    } else {
        Err(format!("auth_excluded_paths: found `{path}`, expected a path that begins with `/`, such as /-/healthy"))
    }
}

#[cfg(test)]
mod tests;
