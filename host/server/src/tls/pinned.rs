//! A client whose own certificate is in the client CA's file: one self-signed certificate is often both, in small installations.
//!
//! Go takes such a client; webpki refuses a certificate that is an authority and an end entity at once. This only adds the clients whose
//! certificate is in the file byte by byte, if it is valid now and meant for clients.

use std::time::Duration;

use rustls::{
    Error,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerified,
};
use x509_cert::{Certificate, der::Decode as _, ext::pkix::ExtendedKeyUsage};

use super::wrapped::Decision;

/// Purposes of a key with which a client may authenticate: `clientAuth` and `anyExtendedKeyUsage`.
const CLIENT_PURPOSES: [&str; 2] = ["1.3.6.1.5.5.7.3.2", "2.5.29.37.0"];

/// Admits refused clients whose certificate is one of the pinned ones.
#[derive(Debug)]
pub(super) struct PinnedCertificates {
    pub(super) pinned: Vec<CertificateDer<'static>>,
}

impl PinnedCertificates {
    fn is_pinned(&self, certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
        self.pinned.iter().any(|pinned| pinned.as_ref() == certificate.as_ref()) && is_for_clients(certificate, now)
    }
}

/// Whether a certificate is valid now and its key is meant for clients, or for any purpose.
fn is_for_clients(certificate: &CertificateDer<'_>, now: UnixTime) -> bool {
    let Ok(certificate) = Certificate::from_der(certificate) else { return false };
    let now = Duration::from_secs(now.as_secs());
    let validity = &certificate.tbs_certificate.validity;
    let is_valid = validity.not_before.to_unix_duration() <= now && now <= validity.not_after.to_unix_duration();
    let is_client = match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(None) => true,
        Ok(Some((_, usage))) => usage.0.iter().any(|purpose| CLIENT_PURPOSES.contains(&purpose.to_string().as_str())),
        Err(_) => false,
    };
    is_valid && is_client
}

impl Decision for PinnedCertificates {
    fn decide(
        &self,
        verified: Result<ClientCertVerified, Error>,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        verified.or_else(|error| match self.is_pinned(certificate, now) {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    /// Self-signed, for any purpose, valid for ten years from [`VALID_FROM`] on.
    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBNjCB6aADAgECAhQHSinYNKmMDsMv57qVXPtzJ3Hi3zAFBgMrZXAwETEPMA0G
A1UEAwwGY2xpZW50MB4XDTI2MTEyNzEyMzkzN1oXDTM2MTEyNDEyMzkzN1owETEP
MA0GA1UEAwwGY2xpZW50MCowBQYDK2VwAyEAYkZH3E62qyJKEdstBSK0bWrDd25D
wdNgvFclkbe2Sh6jUzBRMB0GA1UdDgQWBBTibEu8JxD0wm26JV2+hXPsn2VUAzAf
BgNVHSMEGDAWgBTibEu8JxD0wm26JV2+hXPsn2VUAzAPBgNVHRMBAf8EBTADAQH/
MAUGAytlcANBAClgWM/HrFWobx30xbu4lkvV7UXMacpx1JEFTCKPrDgqpyybrVRb
ZVY2q3coPFl9aDUThwvj1+XPchFoMQj1Ogg=
-----END CERTIFICATE-----
";

    /// 2026-11-27 12:39:37 UTC.
    const VALID_FROM: u64 = 1_795_783_177;

    #[test]
    fn only_a_client_whose_own_certificate_is_in_the_file_is_pinned_and_only_while_it_is_valid() {
        let certificate = CertificateDer::from_pem_slice(CERTIFICATE.as_bytes()).unwrap();
        let is_pinned = |pinned: &[&CertificateDer<'static>], seconds| {
            let pinned = PinnedCertificates { pinned: pinned.iter().copied().cloned().collect() };
            pinned.is_pinned(&certificate, UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
        };
        let other = CertificateDer::from(certificate[1..].to_vec());
        assert!(is_pinned(&[&other, &certificate], VALID_FROM));
        assert!(!is_pinned(&[&other], VALID_FROM), "it is not in the file");
        assert!(!is_pinned(&[&certificate], VALID_FROM - 1), "it is not valid yet");
        assert!(!is_pinned(&[&certificate], VALID_FROM + 4_000 * 24 * 60 * 60), "it has expired");
    }
}
