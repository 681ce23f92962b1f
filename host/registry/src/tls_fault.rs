//! Reasons of TLS for not talking to a registry, in words that say what to do.

use std::time::{Duration, SystemTime};

use rustls::{CertificateError, Error, pki_types::UnixTime};

/// A reason for which TLS ended a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TlsFault {
    /// The registry's certificate; the text says why.
    Certificate(String),
    /// The registry does not speak TLS.
    NoTls,
}

impl TlsFault {
    /// The fault that an error of the client is about; none: it is about something else.
    pub(crate) fn of(error: &ureq::Error) -> Option<Self> {
        let error = match error {
            ureq::Error::Rustls(error) => error,
            ureq::Error::Io(error) => error.get_ref()?.downcast_ref::<Error>()?,
            _ => return None,
        };
        match error {
            Error::InvalidCertificate(why) => Some(Self::Certificate(reason(why))),
            Error::InvalidMessage(_) => Some(Self::NoTls),
            _ => None,
        }
    }
}

fn reason(error: &CertificateError) -> String {
    match error {
        CertificateError::UnknownIssuer => {
            "none of the authorities that are trusted has issued it; name the one that has by --ca-file, by $SSL_CERT_FILE, or as \
             /etc/containers/certs.d/REGISTRY/ca.crt"
                .to_owned()
        }
        CertificateError::BadSignature => {
            "another key has signed it than that of the authority of that name which is trusted".to_owned()
        }
        CertificateError::ExpiredContext { not_after, .. } => format!("it has expired at {}", shown(*not_after)),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("it is not valid before {}; is the clock of this machine right?", shown(*not_before))
        }
        CertificateError::NotValidForNameContext { expected, presented } => {
            let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            format!("it is for {names}, expected one for {}", expected.to_str())
        }
        other => other.to_string(),
    }
}

fn shown(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(|| "an unknown time".to_owned(), |time| humantime::format_rfc3339_seconds(time).to_string())
}
