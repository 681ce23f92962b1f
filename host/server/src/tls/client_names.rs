//! `client_allowed_sans`: of the clients whose certificate a CA has signed, those with certain names are admitted.
//!
//! This only adds a condition to another verifier, which checks the chain, the validity and the client's key.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustls::{
    CertificateError, Error,
    pki_types::{CertificateDer, UnixTime},
    server::danger::ClientCertVerified,
};
use x509_cert::{
    Certificate,
    der::Decode as _,
    ext::pkix::{SubjectAltName, name::GeneralName},
};

use super::wrapped::Decision;

/// Refuses clients that have none of the allowed names.
#[derive(Debug)]
pub(super) struct AllowedNames {
    /// DNS names, e-mail addresses, IP addresses and URIs. As in the exporter toolkit, one of them has to match exactly.
    pub(super) allowed: Vec<String>,
}

impl Decision for AllowedNames {
    fn decide(
        &self,
        verified: Result<ClientCertVerified, Error>,
        certificate: &CertificateDer<'_>,
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = verified?;
        let names = names(certificate).ok_or(CertificateError::BadEncoding)?;
        match names.iter().any(|name| self.allowed.contains(name)) {
            true => Ok(verified),
            false => Err(CertificateError::ApplicationVerificationFailure.into()),
        }
    }
}

/// The certificate's subject alternative names; `None` if it cannot be parsed.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let names = certificate.tbs_certificate.get::<SubjectAltName>().ok()?;
    Some(names.map_or_else(Vec::new, |(_, names)| names.0.iter().filter_map(text).collect()))
}

fn text(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(text) | GeneralName::Rfc822Name(text) | GeneralName::UniformResourceIdentifier(text) => {
            Some(text.to_string())
        }
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()).map(|address| address.to_string()),
        _ => None,
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}
