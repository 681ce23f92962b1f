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
