//! References to artifacts: `HOST[:PORT]/PATH[:TAG][@sha256:HEX]`.

use std::{fmt, str::FromStr};

use crate::digest::{DigestError, OciDigest};

/// A repository of a registry: `ghcr.io/acme/runqlat`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// Host name or address, with a port if it has one.
    pub registry: String,
    /// The path below the registry, without a `/` at either end.
    pub path: String,
}

/// A repository with a tag, a digest, or both. If there is a digest, the tag is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    pub repository: Repository,
    pub tag: Option<String>,
    pub digest: Option<OciDigest>,
}

/// A text that is no reference.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReferenceError {
    #[error(
        "found `{found}`, expected a registry and a repository, such as ghcr.io/acme/{found}: no registry is assumed"
    )]
    NoRegistry { found: String },
    #[error(
        "found the repository `{found}`, expected names of lower-case letters and digits, with `.`, `_`, `-` between them and `/` between the names"
    )]
    Path { found: String },
    #[error("found the tag `{found}`, expected letters, digits, `.`, `_` and `-`, at most 128")]
    Tag { found: String },
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A manifest in its repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestName {
    Tag(String),
    Digest(OciDigest),
}

impl Repository {
    /// Whether the registry is this machine, to which HTTP without TLS is as safe as with it.
    pub fn is_loopback(&self) -> bool {
        let host = match self.registry.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.registry.split(':').next().unwrap_or_default(),
        };
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    /// The last name of the path.
    pub fn last_name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

impl Reference {
    /// The name to ask the registry for: the digest if there is one, else the tag, else `latest`.
    pub fn manifest_name(&self) -> ManifestName {
        match (self.digest, &self.tag) {
            (Some(digest), _) => ManifestName::Digest(digest),
            (None, Some(tag)) => ManifestName::Tag(tag.clone()),
            (None, None) => ManifestName::Tag("latest".to_owned()),
        }
    }

    /// The same reference with this digest.
    pub fn at(&self, digest: OciDigest) -> Self {
        Self { digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.path)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl FromStr for Repository {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let no_registry = || ReferenceError::NoRegistry { found: text.to_owned() };
        let (registry, path) = text.split_once('/').ok_or_else(no_registry)?;
        if !is_registry(registry) {
            return Err(no_registry());
        }
        if path.len() > 255 || !path.split('/').all(is_path_name) {
            return Err(ReferenceError::Path { found: path.to_owned() });
        }
        Ok(Self { registry: registry.to_owned(), path: path.to_owned() })
    }
}

/// Whether this is a host, with a port or without: it has a dot or a port, or is `localhost`.
pub(crate) fn is_registry(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    !text.is_empty() && text.chars().all(is_allowed) && (text.contains(['.', ':']) || text == "localhost")
}

/// Whether this may be a name in the path of a repository.
pub(crate) fn is_path_name(name: &str) -> bool {
    let is_plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (Some(first), Some(last)) = (name.bytes().next(), name.bytes().last()) else { return false };
    is_plain(first)
        && is_plain(last)
        && name.bytes().all(|c| is_plain(c) || b"._-".contains(&c))
        && !name.contains("..")
}

/// Whether this may be a tag.
pub(crate) fn is_tag(tag: &str) -> bool {
    let is_allowed = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    (1..=128).contains(&tag.len()) && tag.bytes().all(is_allowed) && !tag.starts_with(['.', '-'])
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse()?)),
            None => (text, None),
        };
        // A colon before the last slash belongs to the port.
        let (repository, tag) = match rest.rsplit_once(':') {
            Some((repository, tag)) if !tag.contains('/') && repository.contains('/') => (repository, Some(tag)),
            _ => (rest, None),
        };
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(ReferenceError::Tag { found: tag.to_owned() });
        }
        Ok(Self { repository: repository.parse()?, tag: tag.map(str::to_owned), digest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_as_they_are_written() {
        let digest = OciDigest::of(b"x");
        for (text, registry, path, tag) in [
            ("ghcr.io/acme/runqlat:1.2.0", "ghcr.io", "acme/runqlat", Some("1.2.0")),
            ("localhost/x", "localhost", "x", None),
            ("127.0.0.1:5000/a/b_c:v1", "127.0.0.1:5000", "a/b_c", Some("v1")),
            ("[::1]:5000/x", "[::1]:5000", "x", None),
        ] {
            for whole in [text.to_owned(), format!("{text}@{digest}")] {
                let reference: Reference = whole.parse().unwrap();
                assert_eq!(reference.to_string(), whole);
                assert_eq!(
                    (reference.repository.registry.as_str(), reference.repository.path.as_str()),
                    (registry, path)
                );
                assert_eq!(reference.tag.as_deref(), tag);
                assert_eq!(reference.digest.is_some(), whole != text);
            }
        }
    }

    #[test]
    fn a_name_without_a_registry_is_not_looked_for_on_docker_hub() {
        for wrong in ["runqlat", "acme/runqlat", "acme/runqlat:1.0", "/x", ""] {
            assert!(matches!(wrong.parse::<Reference>(), Err(ReferenceError::NoRegistry { .. })), "{wrong}");
        }
        for wrong in ["ghcr.io/Acme/x", "ghcr.io/a/../b", "ghcr.io/a//b", "ghcr.io/", "ghcr.io/.a", "ghcr.io/a?b"] {
            assert!(matches!(wrong.parse::<Reference>(), Err(ReferenceError::Path { .. })), "{wrong}");
        }
        assert!(matches!("ghcr.io/a/b:".parse::<Reference>(), Err(ReferenceError::Tag { .. })));
        assert!(matches!("ghcr.io/a/b@sha256:1".parse::<Reference>(), Err(ReferenceError::Digest(_))));
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for (registry, expected) in [
            ("localhost:5000", true),
            ("127.0.0.1:1", true),
            ("[::1]:5000", true),
            ("localhost.evil.io", false),
            ("10.0.0.1:5000", false),
        ] {
            let repository = Repository { registry: registry.to_owned(), path: "x".to_owned() };
            assert_eq!(repository.is_loopback(), expected, "{registry}");
        }
    }
}
