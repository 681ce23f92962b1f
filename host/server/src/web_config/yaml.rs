//! The web configuration as it is written: its keys, and the forms of its values, as the exporter toolkit reads them.
//!
//! Nothing is checked here but the types. A key that is there without a value is the same as one that is not there.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Deserializer, de};

use super::rate_limit::Interval;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) tls_server_config: Option<RawTls>,
    pub(super) http_server_config: Option<RawHttp>,
    pub(super) rate_limit: Option<RawRateLimit>,
    pub(super) basic_auth_users: Option<BTreeMap<String, String>>,
    pub(super) auth_excluded_paths: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawTls {
    cert_file: Option<String>,
    key_file: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    client_ca_file: Option<String>,
    client_ca: Option<String>,
    client_auth_type: Option<String>,
    pub(crate) client_allowed_sans: Option<Vec<String>>,
    pub(crate) min_version: Option<String>,
    pub(crate) max_version: Option<String>,
    pub(crate) cipher_suites: Option<Vec<String>>,
    pub(crate) curve_preferences: Option<Vec<String>>,
    pub(crate) prefer_server_cipher_suites: Option<Truth>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHttp {
    /// Accepted without effect: only HTTP/1.1 is served.
    #[serde(rename = "http2")]
    _http2: Option<Truth>,
    pub(super) headers: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRateLimit {
    pub(super) interval: Option<Interval>,
    pub(super) burst: Option<i64>,
}

/// A text that is not empty: an empty one is the same as none.
fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

impl RawTls {
    pub(crate) fn cert_file(&self) -> Option<&str> {
        given(&self.cert_file)
    }

    pub(crate) fn key_file(&self) -> Option<&str> {
        given(&self.key_file)
    }

    pub(crate) fn cert(&self) -> Option<&str> {
        given(&self.cert)
    }

    pub(crate) fn key(&self) -> Option<&str> {
        given(&self.key)
    }

    pub(crate) fn client_ca_file(&self) -> Option<&str> {
        given(&self.client_ca_file)
    }

    pub(crate) fn client_ca(&self) -> Option<&str> {
        given(&self.client_ca)
    }

    pub(crate) fn client_auth_type(&self) -> Option<&str> {
        given(&self.client_auth_type)
    }

    /// The first key that says something about TLS or its clients, if no certificate and no key is given.
    pub(crate) fn key_without_certificate(&self) -> Option<&'static str> {
        let keys = [
            ("client_ca_file", self.client_ca_file().is_some()),
            ("client_ca", self.client_ca().is_some()),
            ("client_auth_type", self.client_auth_type().is_some()),
            ("client_allowed_sans", self.client_allowed_sans.is_some()),
            ("min_version", self.min_version.is_some()),
            ("max_version", self.max_version.is_some()),
            ("cipher_suites", self.cipher_suites.is_some()),
            ("curve_preferences", self.curve_preferences.is_some()),
            ("prefer_server_cipher_suites", self.prefer_server_cipher_suites.is_some()),
        ];
        keys.into_iter().find(|(_, is_given)| *is_given).map(|(key, _)| key)
    }
}

/// `true` or `false`, in any of YAML 1.1's words, which the exporter toolkit's parser takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Truth(pub(crate) bool);

impl<'de> Deserialize<'de> for Truth {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TruthVisitor)
    }
}

struct TruthVisitor;

impl de::Visitor<'_> for TruthVisitor {
    type Value = Truth;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Truth, E> {
        Ok(Truth(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Truth, E> {
        match text {
            "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Ok(Truth(true)),
            "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Ok(Truth(false)),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }
}
