//! Credentials from the files in which `podman login`, `docker login` and `oras login` leave them (containers-auth.json(5)).
//!
//! Helper programs that a file names (`credsStore`, `credHelpers`) are not run: this may be root's process, and the file another user's.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::reference::Repository;
use ebhost_limits as limits;

/// The proof that a registry is shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// Name and password.
    Basic { user: String, password: String },
    /// A refresh token, which the token service exchanges.
    IdentityToken(String),
    /// A bearer token, used as it is.
    RegistryToken(String),
}

/// The entries of all files, the first of which takes precedence.
#[derive(Debug, Default)]
pub struct Credentials {
    files: Vec<AuthFile>,
}

/// Why credentials cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("{path}: cannot be read: {source}; $REGISTRY_AUTH_FILE names it")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: found {why}, expected credentials as `podman login` and `docker login` write them")]
    Malformed { path: PathBuf, why: String },
}

#[derive(Debug)]
struct AuthFile {
    path: PathBuf,
    auths: BTreeMap<String, Entry>,
    has_helpers: bool,
}

#[derive(Default, Deserialize)]
struct Text {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entry(..)") // secrets do not get into logs
    }
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credential(..)")
    }
}

impl Credentials {
    /// Reads the files that are there, in the order of containers-auth.json(5).
    ///
    /// # Errors
    /// A file is not what it should be, or `$REGISTRY_AUTH_FILE` names none.
    pub fn read() -> Result<Self, CredentialsError> {
        if let Some(path) = env::var_os("REGISTRY_AUTH_FILE").map(PathBuf::from) {
            let text = read(&path).map_err(|source| CredentialsError::Unreadable { path: path.clone(), source })?;
            return Ok(Self { files: vec![parse(path, &text)?] });
        }
        let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = || folder("HOME");
        let candidates = [
            folder("XDG_RUNTIME_DIR").map(|path| path.join("containers/auth.json")),
            folder("XDG_CONFIG_HOME")
                .or_else(|| Some(home()?.join(".config")))
                .map(|path| path.join("containers/auth.json")),
            folder("DOCKER_CONFIG").or_else(|| Some(home()?.join(".docker"))).map(|path| path.join("config.json")),
        ];
        let there = candidates.into_iter().flatten().filter_map(|path| Some((read(&path).ok()?, path)));
        Ok(Self { files: there.map(|(text, path)| parse(path, &text)).collect::<Result<_, _>>()? })
    }

    /// The credential for a repository: that of the longest path above it, else of its registry.
    pub fn of(&self, repository: &Repository) -> Option<Credential> {
        self.files.iter().find_map(|file| {
            let whole = repository.to_string();
            let above = whole.match_indices('/').map(|(at, _)| &whole[..at]).rev();
            let mut names = [whole.as_str()].into_iter().chain(above);
            let legacy = [format!("https://{}", repository.registry), format!("https://{}/v1/", repository.registry)];
            let named = names.find_map(|name| file.auths.get(name));
            named.or_else(|| legacy.iter().find_map(|name| file.auths.get(name)))?.credential()
        })
    }

    /// Where to log in, for the message of a registry that asks for credentials.
    pub(crate) fn hint(&self, registry: &str) -> String {
        let has_helpers = self.files.iter().any(|file| file.has_helpers);
        let helpers = if has_helpers { "; programs that a file names as helpers are not run" } else { "" };
        let found = match self.files.as_slice() {
            [] => "found no file of credentials".to_owned(),
            files => {
                let paths: Vec<_> = files.iter().map(|file| file.path.display().to_string()).collect();
                format!("found none that it takes in {}", paths.join(", "))
            }
        };
        format!(
            "{found}, expected an entry for it; try `podman login {registry}`, or name a file by $REGISTRY_AUTH_FILE{helpers}"
        )
    }
}

impl Entry {
    fn credential(&self) -> Option<Credential> {
        if let Some(token) = self.registrytoken.clone().filter(|token| !token.is_empty()) {
            return Some(Credential::RegistryToken(token));
        }
        if let Some(token) = self.identitytoken.clone().filter(|token| !token.is_empty()) {
            return Some(Credential::IdentityToken(token));
        }
        if let (Some(user), Some(password)) = (self.username.clone(), self.password.clone()) {
            return Some(Credential::Basic { user, password });
        }
        let decoded = STANDARD.decode(self.auth.as_deref()?.trim()).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Credential::Basic { user: user.to_owned(), password: password.trim_end_matches('\0').to_owned() })
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let most = limits::REGISTRY_FILE_BYTES;
    match fs::metadata(path)?.len() {
        size if size > most => Err(io::Error::other(format!("found {size} bytes, expected at most {most}"))),
        _ => fs::read(path),
    }
}

fn parse(path: PathBuf, text: &[u8]) -> Result<AuthFile, CredentialsError> {
    // The parser's message may quote a secret: only its place is shown.
    let parsed = serde_json::from_slice::<Text>(text).map_err(|error| CredentialsError::Malformed {
        path: path.clone(),
        why: format!("no such JSON in line {}", error.line()),
    })?;
    let has_helpers = parsed.store.is_some_and(|store| !store.is_empty()) || !parsed.helpers.is_empty();
    Ok(AuthFile { path, auths: parsed.auths, has_helpers })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(text: &str) -> Credentials {
        Credentials { files: vec![parse("auth.json".into(), text.as_bytes()).unwrap()] }
    }

    fn basic(user: &str, password: &str) -> Option<Credential> {
        Some(Credential::Basic { user: user.to_owned(), password: password.to_owned() })
    }

    #[test]
    fn the_most_specific_entry_is_taken() {
        let text = r#"{"auths": {"a.io": {"auth": "dTpw"}, "a.io/team": {"username": "t", "password": "x:y"},
            "https://b.io/v1/": {"auth": "dTpw"}, "c.io": {"identitytoken": "refresh", "auth": "dTpw"}}}"#;
        let of = |name: &str| credentials(text).of(&name.parse().unwrap());
        assert_eq!(of("a.io/other/x"), basic("u", "p"));
        assert_eq!(of("a.io/team/x"), basic("t", "x:y"));
        assert_eq!(of("a.io/teams"), basic("u", "p"));
        assert_eq!(of("b.io/x"), basic("u", "p"));
        assert_eq!(of("c.io/x"), Some(Credential::IdentityToken("refresh".to_owned())));
        assert_eq!(of("d.io/x"), None);
    }

    #[test]
    fn a_damaged_file_is_named_and_its_secrets_are_not() {
        let message = parse("auth.json".into(), br#"{"auths": {"a.io": "hunter2"}}"#).unwrap_err().to_string();
        assert!(
            message.starts_with("auth.json: found no such JSON in line 1") && !message.contains("hunter2"),
            "{message}"
        );
        assert!(!format!("{:?}", basic("u", "hunter2")).contains("hunter2"));
    }

    #[test]
    fn helpers_are_not_run_and_the_message_says_so() {
        let hint = credentials(r#"{"credsStore": "desktop"}"#).hint("a.io");
        assert!(hint.contains("podman login a.io") && hint.contains("helpers are not run"), "{hint}");
    }
}
