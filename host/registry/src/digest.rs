//! Digests as OCI writes them: `sha256:` and 64 hexadecimal digits.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use ebhost_package::Digest;

/// The SHA-256 of a blob or manifest, which names it in a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OciDigest(Digest);

/// A text that is no digest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("found the digest `{0}`, expected `sha256:` and 64 lower-case hexadecimal digits")]
pub struct DigestError(String);

impl OciDigest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Digest::of(bytes))
    }

    /// The hexadecimal digits, without `sha256:`.
    pub fn hex(self) -> String {
        self.0.to_string()
    }

    /// The same digest as packages have it.
    pub fn bytes(self) -> Digest {
        self.0
    }

    /// The tag under which cosign stores the signatures of the manifest with this digest.
    pub fn signature_tag(self) -> String {
        format!("sha256-{}.sig", self.0)
    }

    /// The tag under which a registry without the referrers API lists what refers to the manifest with this digest.
    pub fn referrers_tag(self) -> String {
        format!("sha256-{}", self.0)
    }
}

impl fmt::Display for OciDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.0)
    }
}

impl FromStr for OciDigest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError(text.chars().take(100).collect());
        let hex = text.strip_prefix("sha256:").filter(|hex| !hex.contains(|c: char| c.is_ascii_uppercase()));
        hex.and_then(Digest::from_hex).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for OciDigest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Self, DigestError> {
        text.parse()
    }
}

impl From<OciDigest> for String {
    fn from(digest: OciDigest) -> Self {
        digest.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_as_it_is_written() {
        let digest = OciDigest::of(b"x");
        assert_eq!(digest.to_string(), "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        let upper = digest.to_string().to_uppercase();
        for wrong in ["", "sha256:", "sha512:2d71", upper.as_str(), &digest.to_string()[1..], "sha256:é"] {
            assert!(wrong.parse::<OciDigest>().is_err(), "{wrong}");
        }
    }
}
