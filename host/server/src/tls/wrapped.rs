//! A verifier of clients' certificates that has the last word over another one's outcome.
//!
//! The other one checks the chain, the validity and the client's key, and everything else of the handshake is left to it; a [`Decision`]
//! is asked about the outcome alone.

use std::{fmt, sync::Arc};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};

/// Confirms or changes the outcome of a verification.
pub(super) trait Decision: fmt::Debug + Send + Sync {
    /// Decides about a client's certificate, which the other verifier admitted or refused.
    fn decide(
        &self,
        verified: Result<ClientCertVerified, Error>,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error>;
}

/// A verifier, and the decision about its outcomes.
#[derive(Debug)]
pub(super) struct Wrapped<D> {
    pub(super) verifier: Arc<dyn ClientCertVerifier>,
    pub(super) decision: D,
}

impl<D: Decision> ClientCertVerifier for Wrapped<D> {
    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.verifier.verify_client_cert(certificate, chain, now);
        self.decision.decide(verified, certificate, now)
    }

    fn offer_client_auth(&self) -> bool {
        self.verifier.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.verifier.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}
