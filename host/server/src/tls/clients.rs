//! `client_auth_type`: which certificates are asked of clients, and which are taken.

use std::{path::Path, sync::Arc};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, UnixTime, pem::PemObject as _},
    server::{
        WebPkiClientVerifier,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::{
    Checked, ExcludedPaths, RawTls, TlsError, client_names::AllowedNames, pinned::PinnedCertificates, source, text,
    wrapped::Wrapped,
};

/// How clients' certificates are treated, from the laxest to the strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ClientAuth {
    NoClientCert,
    RequestClientCert,
    VerifyClientCertIfGiven,
    RequireAnyClientCert,
    RequireAndVerifyClientCert,
}

/// The demands on clients' certificates.
pub(crate) struct ClientPolicy {
    auth: ClientAuth,
    has_names: bool,
    /// The verifier of a certificate that the handshake did not insist on, because some paths need none.
    deferred: Option<Arc<dyn ClientCertVerifier>>,
}

/// The policy, and the verifier of the handshake; without one no certificate is asked for.
pub(super) struct Clients {
    pub(super) policy: ClientPolicy,
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl ClientPolicy {
    /// Whether a client with these certificates may ask for paths that are not excluded from authentication.
    pub(crate) fn admits(&self, certificates: Option<&[CertificateDer<'_>]>) -> bool {
        let Some(verifier) = &self.deferred else { return true };
        let Some((own, chain)) = certificates.and_then(<[_]>::split_first) else { return false };
        verifier.verify_client_cert(own, chain, UnixTime::now()).is_ok()
    }

    /// A demand on clients that `self` makes and `other` does not.
    pub(crate) fn demands_more_than(&self, other: &Self) -> Option<&'static str> {
        if self.auth > other.auth {
            return Some("`client_auth_type` as strict as the one");
        }
        (self.has_names && !other.has_names).then_some("`client_allowed_sans`")
    }
}

impl Clients {
    pub(super) fn of(
        raw: &RawTls,
        folder: &Path,
        provider: &Arc<CryptoProvider>,
        excluded: ExcludedPaths,
        warnings: &mut Vec<String>,
    ) -> Checked<Self> {
        let auth = ClientAuth::of(raw)?;
        let authorities = Authorities::read(raw, folder)?;
        let names = allowed_names(raw, auth, authorities.is_some(), warnings)?;
        let has_names = names.is_some();
        let Some(verifier) = verifier(auth, authorities, provider, warnings)? else {
            return Ok(Self { policy: ClientPolicy { auth, has_names, deferred: None }, verifier: None });
        };
        let verifier = match names {
            None => verifier,
            Some(allowed) => Arc::new(Wrapped { verifier, decision: AllowedNames { allowed } }),
        };
        if excluded == ExcludedPaths::None || !verifier.client_auth_mandatory() {
            return Ok(Self { policy: ClientPolicy { auth, has_names, deferred: None }, verifier: Some(verifier) });
        }
        let hints = verifier.root_hint_subjects().to_vec();
        let any = Arc::new(Unverified { provider: provider.clone(), hints, mandatory: Mandatory::No });
        Ok(Self { policy: ClientPolicy { auth, has_names, deferred: Some(verifier) }, verifier: Some(any) })
    }
}

impl ClientAuth {
    fn of(raw: &RawTls) -> Checked<Self> {
        match raw.client_auth_type().unwrap_or("NoClientCert") {
            "NoClientCert" => Ok(Self::NoClientCert),
            "RequestClientCert" => Ok(Self::RequestClientCert),
            // The toolkit keeps the shorter name for files that were written for its first versions.
            "RequireAnyClientCert" | "RequireClientCert" => Ok(Self::RequireAnyClientCert),
            "VerifyClientCertIfGiven" => Ok(Self::VerifyClientCertIfGiven),
            "RequireAndVerifyClientCert" => Ok(Self::RequireAndVerifyClientCert),
            other => Err(TlsError::Value {
                found: format!("`client_auth_type: {other}`"),
                expected: "NoClientCert, RequestClientCert, RequireAnyClientCert, VerifyClientCertIfGiven or \
                           RequireAndVerifyClientCert"
                    .to_owned(),
            }),
        }
    }
}

/// The names of which a client's certificate has to have one; `None`: any will do.
fn allowed_names(
    raw: &RawTls,
    auth: ClientAuth,
    has_ca: bool,
    warnings: &mut Vec<String>,
) -> Checked<Option<Vec<String>>> {
    let Some(names) = raw.client_allowed_sans.clone() else { return Ok(None) };
    let refuse =
        |found: &str, expected: &str| Err(TlsError::Value { found: found.to_owned(), expected: expected.to_owned() });
    if names.is_empty() {
        return refuse("`client_allowed_sans` without a name, which no client has", "at least one name");
    }
    match auth {
        ClientAuth::RequireAndVerifyClientCert => {}
        ClientAuth::RequireAnyClientCert => warnings.push(
            "client_allowed_sans with RequireAnyClientCert: clients may write any name into their certificates; expected \
             RequireAndVerifyClientCert"
                .to_owned(),
        ),
        _ if !has_ca => {
            return refuse(
                "`client_allowed_sans` without a client CA, so that anybody could have written the names",
                "a `client_ca_file` with it, and `client_auth_type: RequireAndVerifyClientCert`",
            );
        }
        _ => {
            return refuse(
                "`client_allowed_sans` with a `client_auth_type` that lets clients in that have no certificate",
                "RequireAndVerifyClientCert",
            );
        }
    }
    Ok(Some(names))
}

fn verifier(
    auth: ClientAuth,
    authorities: Option<Authorities>,
    provider: &Arc<CryptoProvider>,
    warnings: &mut Vec<String>,
) -> Checked<Option<Arc<dyn ClientCertVerifier>>> {
    let unverified = |mandatory, authorities: Option<Authorities>| -> Arc<dyn ClientCertVerifier> {
        let hints = authorities.map(|authorities| authorities.roots.subjects()).unwrap_or_default();
        Arc::new(Unverified { provider: provider.clone(), hints, mandatory })
    };
    if authorities.is_some() && matches!(auth, ClientAuth::RequestClientCert | ClientAuth::RequireAnyClientCert) {
        warnings
            .push(format!("client_auth_type is {auth:?}: clients' certificates are not checked against the client CA"));
    }
    match (auth, authorities) {
        (ClientAuth::NoClientCert, None) => Ok(None),
        (ClientAuth::NoClientCert, Some(_)) => Err(TlsError::Value {
            found: "a client CA with `client_auth_type: NoClientCert`".to_owned(),
            expected: "RequireAndVerifyClientCert or VerifyClientCertIfGiven".to_owned(),
        }),
        (ClientAuth::RequestClientCert, authorities) => Ok(Some(unverified(Mandatory::No, authorities))),
        (ClientAuth::RequireAnyClientCert, authorities) => Ok(Some(unverified(Mandatory::Yes, authorities))),
        (_, None) => Err(TlsError::Value {
            found: "a `client_auth_type` that verifies and no `client_ca_file`".to_owned(),
            expected: "both".to_owned(),
        }),
        (ClientAuth::VerifyClientCertIfGiven, Some(authorities)) => {
            authorities.verifier(provider, Mandatory::No).map(Some)
        }
        (ClientAuth::RequireAndVerifyClientCert, Some(authorities)) => {
            authorities.verifier(provider, Mandatory::Yes).map(Some)
        }
    }
}

/// The certificates of the client CA.
struct Authorities {
    roots: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
}

impl Authorities {
    fn read(raw: &RawTls, folder: &Path) -> Checked<Option<Self>> {
        let Some(ca) = source("client_ca", raw.client_ca_file(), raw.client_ca())? else { return Ok(None) };
        let pem = text(ca, folder)?;
        let missing = || TlsError::Pem { place: pem.place.clone(), expected: "certificate" };
        let (mut roots, mut certificates) = (RootCertStore::empty(), Vec::new());
        for certificate in CertificateDer::pem_slice_iter(&pem.bytes) {
            let certificate = certificate.map_err(|_| missing())?;
            roots.add(certificate.clone()).map_err(|error| TlsError::ClientCa(error.to_string()))?;
            certificates.push(certificate);
        }
        if roots.is_empty() { Err(missing()) } else { Ok(Some(Self { roots, certificates })) }
    }

    fn verifier(self, provider: &Arc<CryptoProvider>, mandatory: Mandatory) -> Checked<Arc<dyn ClientCertVerifier>> {
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots), provider.clone());
        let builder = match mandatory {
            Mandatory::Yes => builder,
            Mandatory::No => builder.allow_unauthenticated(),
        };
        let verifier = builder.build().map_err(|error| TlsError::ClientCa(error.to_string()))?;
        Ok(Arc::new(Wrapped { verifier, decision: PinnedCertificates { pinned: self.certificates } }))
    }
}

/// Whether a client has to have a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mandatory {
    Yes,
    No,
}

/// Accepts any certificate whose private key the client has: `RequestClientCert` and `RequireAnyClientCert`.
#[derive(Debug)]
struct Unverified {
    provider: Arc<CryptoProvider>,
    /// Names of authorities that the client is told of.
    hints: Vec<DistinguishedName>,
    mandatory: Mandatory,
}

impl ClientCertVerifier for Unverified {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory == Mandatory::Yes
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reload that would let more clients in than the configuration before is refused while that one is broken.
    #[test]
    fn the_stricter_of_two_demands_on_clients_is_known() {
        let policy = |auth, has_names| ClientPolicy { auth, has_names, deferred: None };
        let (lax, strict) = (ClientAuth::RequestClientCert, ClientAuth::RequireAndVerifyClientCert);
        let demands = |one: (ClientAuth, bool), other: (ClientAuth, bool)| {
            policy(one.0, one.1).demands_more_than(&policy(other.0, other.1))
        };
        assert_eq!(demands((strict, false), (lax, false)), Some("`client_auth_type` as strict as the one"));
        assert_eq!(demands((lax, false), (strict, false)), None);
        assert_eq!(demands((strict, true), (strict, false)), Some("`client_allowed_sans`"));
        assert_eq!(demands((strict, true), (strict, true)), None);
        assert_eq!(demands((strict, false), (strict, true)), None);
        assert_eq!(demands((strict, false), (strict, false)), None);
    }

    #[test]
    fn a_certificate_is_asked_of_every_client_and_demanded_of_it_where_the_file_requires_any() {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let is_mandatory = |auth| {
            let verifier = verifier(auth, None, &provider, &mut Vec::new()).unwrap();
            verifier.map(|verifier| verifier.client_auth_mandatory())
        };
        assert_eq!(is_mandatory(ClientAuth::NoClientCert), None);
        assert_eq!(is_mandatory(ClientAuth::RequestClientCert), Some(false));
        assert_eq!(is_mandatory(ClientAuth::RequireAnyClientCert), Some(true));
    }
}
