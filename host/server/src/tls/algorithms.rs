//! Versions, cipher suites and curves, by the names that Go and the exporter toolkit have for them.
//!
//! As in Go a list of cipher suites is about TLS 1.2: those of TLS 1.3 are always on. What a list names and ring lacks is left out with a
//! warning, for what remains is on the list too; a list of which nothing remains, and a name that nobody knows, is an error.

use rustls::{
    SupportedCipherSuite, SupportedProtocolVersion,
    crypto::{CryptoProvider, SupportedKxGroup, ring},
    version::{TLS12, TLS13},
};

use super::{Checked, RawTls, TlsError};

/// Versions, suites and groups that are negotiated with a client.
pub(super) struct Algorithms {
    pub(super) provider: CryptoProvider,
    pub(super) versions: Vec<&'static SupportedProtocolVersion>,
}

/// Suites that Go has or had among its secure ones, and ring has not: without forward secrecy or with CBC.
const MISSING_SUITES: [&str; 8] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
];

const CURVES: [(&str, Option<&'static dyn SupportedKxGroup>); 4] = [
    ("CurveP256", Some(ring::kx_group::SECP256R1)),
    ("CurveP384", Some(ring::kx_group::SECP384R1)),
    ("CurveP521", None),
    ("X25519", Some(ring::kx_group::X25519)),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Version {
    /// TLS 1.0 or 1.1, which are not spoken.
    Old,
    Tls12,
    Tls13,
}

/// The algorithms that the file allows, of those that there are.
pub(super) fn choose(raw: &RawTls, warnings: &mut Vec<String>) -> Checked<Algorithms> {
    let (mut least, most) = versions(raw, warnings)?;
    let mut provider = ring::default_provider();
    let (tls13, tls12): (Vec<_>, Vec<_>) =
        provider.cipher_suites.iter().copied().partition(|suite| suite.tls13().is_some());
    let tls12 = match raw.cipher_suites.as_deref() {
        None | Some([]) => tls12,
        Some(names) => {
            let chosen = suites(names, &tls12, &tls13, warnings)?;
            if chosen.is_empty() && most == Version::Tls12 {
                let expected = format!("one of {}", tls12.iter().map(go_name).collect::<Vec<_>>().join(", "));
                let found =
                    "`cipher_suites` without any of TLS 1.2 that can be used, and `max_version: TLS12`".to_owned();
                return Err(TlsError::Value { found, expected });
            }
            if chosen.is_empty() && least < Version::Tls13 {
                warnings.push("cipher_suites has none of TLS 1.2 that can be used: only TLS 1.3 is served".to_owned());
                least = Version::Tls13;
            }
            chosen
        }
    };
    provider.cipher_suites = tls13.into_iter().chain(tls12).collect();
    if let Some(names @ [_, ..]) = raw.curve_preferences.as_deref() {
        provider.kx_groups = curves(names, warnings)?;
    }
    let all = [(Version::Tls12, &TLS12), (Version::Tls13, &TLS13)];
    let versions = all.into_iter().filter(|(version, _)| (least..=most).contains(version)).map(|(_, version)| version);
    Ok(Algorithms { provider, versions: versions.collect() })
}

fn versions(raw: &RawTls, warnings: &mut Vec<String>) -> Checked<(Version, Version)> {
    let version = |name: &Option<String>, default| match name.as_deref() {
        None | Some("") => Ok(default),
        Some("TLS10" | "TLS11") => Ok(Version::Old),
        Some("TLS12") => Ok(Version::Tls12),
        Some("TLS13") => Ok(Version::Tls13),
        Some(other) => Err(TlsError::Value { found: format!("`{other}`"), expected: "TLS12 or TLS13".to_owned() }),
    };
    let (least, most) = (version(&raw.min_version, Version::Tls12)?, version(&raw.max_version, Version::Tls13)?);
    if most == Version::Old {
        let found = format!("`max_version: {}`", raw.max_version.as_deref().unwrap_or_default());
        let expected = "TLS12 or TLS13, because nothing older is spoken".to_owned();
        return Err(TlsError::Value { found, expected });
    }
    if least > most {
        let found = "a `min_version` above `max_version`".to_owned();
        return Err(TlsError::Value { found, expected: "TLS12 and TLS13, in this order".to_owned() });
    }
    if least == Version::Old {
        let asked = raw.min_version.as_deref().unwrap_or_default();
        warnings.push(format!("min_version is {asked}: nothing older than TLS 1.2 is spoken"));
    }
    Ok((least, most))
}

/// The suites of TLS 1.2 with these names, in this order.
fn suites(
    names: &[String],
    tls12: &[SupportedCipherSuite],
    tls13: &[SupportedCipherSuite],
    warnings: &mut Vec<String>,
) -> Checked<Vec<SupportedCipherSuite>> {
    let mut chosen = Vec::new();
    for name in names {
        // Go's name, and the one of the standard.
        let is_it =
            |suite: &&SupportedCipherSuite| go_name(suite) == *name || go_name(suite) == format!("{name}_SHA256");
        if let Some(suite) = tls12.iter().find(is_it) {
            chosen.push(*suite);
        } else if MISSING_SUITES.contains(&name.as_str()) {
            warnings.push(format!("cipher_suites: {name} is left out: it is not known here"));
        } else if !tls13.iter().any(|suite| go_name(suite) == *name) {
            let known = tls12.iter().chain(tls13).map(go_name).collect::<Vec<_>>().join(", ");
            return Err(TlsError::Value { found: format!("the cipher suite `{name}`"), expected: known });
        }
    }
    Ok(chosen)
}

/// The name that Go has for a suite.
fn go_name(suite: &SupportedCipherSuite) -> String {
    format!("{:?}", suite.suite()).replacen("TLS13_", "TLS_", 1)
}

fn curves(names: &[String], warnings: &mut Vec<String>) -> Checked<Vec<&'static dyn SupportedKxGroup>> {
    let known =
        || CURVES.iter().filter(|(_, group)| group.is_some()).map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    let mut chosen = Vec::new();
    for name in names {
        match CURVES.iter().find(|(known, _)| known == name) {
            Some((_, Some(group))) => chosen.push(*group),
            Some((_, None)) => warnings.push(format!("curve_preferences: {name} is left out: it is not known here")),
            None => return Err(TlsError::Value { found: format!("the curve `{name}`"), expected: known() }),
        }
    }
    if chosen.is_empty() {
        let found = "`curve_preferences` without any curve that can be used".to_owned();
        return Err(TlsError::Value { found, expected: format!("one of {}", known()) });
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The suites and versions that are chosen, and the warnings.
    fn chosen(yaml: &str) -> Result<(Vec<String>, usize, Vec<String>), String> {
        let raw: RawTls = serde_yaml::from_str(yaml).unwrap();
        let mut warnings = Vec::new();
        let algorithms = choose(&raw, &mut warnings).map_err(|error| error.to_string())?;
        let names = algorithms.provider.cipher_suites.iter().map(go_name).collect();
        Ok((names, algorithms.versions.len(), warnings))
    }

    /// A list of suites of TLS 1.2, which is what people write, switched TLS 1.3 off.
    #[test]
    fn a_list_of_suites_is_about_tls_1_2() {
        let gcm = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        let (names, versions, warnings) = chosen(&format!("cipher_suites: [{gcm}]")).unwrap();
        assert_eq!((names.len(), versions, warnings.len()), (4, 2, 0), "{names:?}");
        assert_eq!(names.iter().filter(|name| name.contains("ECDHE")).collect::<Vec<_>>(), [gcm]);
        let (_, versions, _) = chosen(&format!("{{ cipher_suites: [{gcm}], min_version: TLS13 }}")).unwrap();
        assert_eq!(versions, 1);
    }

    #[test]
    fn what_is_not_known_here_is_left_out_and_what_nobody_knows_is_refused() {
        let chacha = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305";
        for name in [chacha, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"] {
            let (names, _, warnings) =
                chosen(&format!("cipher_suites: [{}, {name}]", MISSING_SUITES.join(", "))).unwrap();
            assert_eq!((names.len(), warnings.len()), (4, 8), "{names:?}");
        }
        let (names, versions, warnings) = chosen("cipher_suites: [TLS_AES_128_GCM_SHA256]").unwrap();
        assert_eq!((names.len(), versions, warnings.len()), (3, 1, 1), "TLS 1.2 without a suite, as in Go");
        let message = chosen("{ cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA], max_version: TLS12 }").unwrap_err();
        assert!(message.contains("without any of TLS 1.2 that can be used"), "{message}");
        let message = chosen("cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]").unwrap_err();
        assert!(message.starts_with("found the cipher suite `TLS_RSA_WITH_RC4_128_SHA`, expected "), "{message}");
    }

    #[test]
    fn old_versions_and_missing_curves_are_warned_about_unless_nothing_else_remains() {
        for old in ["TLS10", "TLS11"] {
            let (_, versions, warnings) = chosen(&format!("min_version: {old}")).unwrap();
            assert_eq!((versions, warnings.len()), (2, 1));
            assert!(chosen(&format!("max_version: {old}")).unwrap_err().contains("nothing older is spoken"));
        }
        assert!(chosen("{ min_version: TLS13, max_version: TLS12 }").unwrap_err().contains("above `max_version`"));
        assert_eq!(chosen("curve_preferences: [CurveP521, CurveP256]").unwrap().2.len(), 1);
        assert!(chosen("curve_preferences: [CurveP521]").unwrap_err().contains("without any curve"));
        assert!(
            chosen("curve_preferences: [P-256]")
                .unwrap_err()
                .starts_with("found the curve `P-256`, expected CurveP256")
        );
    }
}
