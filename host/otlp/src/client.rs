//! The HTTP client: one request, and what its answer means.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use opentelemetry_proto::tonic::collector::{
    metrics::v1::ExportMetricsServiceResponse, trace::v1::ExportTraceServiceResponse,
};
use prost::Message as _;
use ureq::{
    Agent,
    tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem},
};

use crate::options::{Compression, OtlpOptions, Signal, Tls};
use ebhost_limits as limits;
use ebhost_telemetry::one_line;

/// Why the client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{path}: cannot be read: {source}; a variable OTEL_EXPORTER_OTLP_… names it")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: found no {expected} in PEM format")]
    Empty { path: PathBuf, expected: &'static str },
}

/// Why a push was not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PushError {
    #[error("no answer: {0}")]
    NoAnswer(#[source] Box<ureq::Error>),
    #[error("the receiver is busy: it answered {status}")]
    Busy {
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    #[error("the receiver refused it: it answered {status}{}", said(.text))]
    Refused { status: u16, text: String },
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(", `{text}`") }
}

/// The answer of a receiver that took a push.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Points or spans.
    pub(crate) rejected: u64,
    pub(crate) message: String,
}

pub(crate) struct Client {
    signal: Signal,
    agent: Agent,
    url: String,
    headers: Vec<(String, String)>,
    compression: Compression,
}

impl Client {
    pub(crate) fn new(signal: Signal, options: &OtlpOptions) -> Result<Self, TlsError> {
        let config = Agent::config_builder()
            .timeout_global(Some(options.timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            // No other port is in reach under Landlock.
            .proxy(None)
            .user_agent(concat!("ebhost/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls_config(&options.tls)?)
            .build();
        Ok(Self {
            signal,
            agent: config.into(),
            url: options.endpoint.url().to_owned(),
            headers: options.headers.clone(),
            compression: options.compression,
        })
    }

    /// Posts one request.
    pub(crate) fn post(&self, body: &[u8]) -> Result<Taken, PushError> {
        let mut request = self.agent.post(&self.url).header("Content-Type", "application/x-protobuf");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let compressed;
        let body = match self.compression {
            Compression::None => body,
            Compression::Gzip => {
                request = request.header("Content-Encoding", "gzip");
                compressed = gzip(body);
                &compressed
            }
        };
        let mut response = request.send(body).map_err(|error| PushError::NoAnswer(Box::new(error)))?;
        let status = response.status().as_u16();
        let retry_after = response.headers().get("Retry-After").and_then(|value| value.to_str().ok()?.parse().ok());
        let answer = response.body_mut().with_config().limit(limits::OTLP_ANSWER_BYTES).read_to_vec();
        let answer = answer.unwrap_or_default();
        match status {
            200..=299 => Ok(taken(self.signal, &answer)),
            429 | 502 | 503 | 504 => Err(PushError::Busy { status, retry_after: retry_after.map(Duration::from_secs) }),
            _ => Err(PushError::Refused { status, text: shown(&answer) }),
        }
    }
}

/// The answer may say that a part was not taken. One that is no message says nothing.
fn taken(signal: Signal, answer: &[u8]) -> Taken {
    let partial = match signal {
        Signal::Metrics => ExportMetricsServiceResponse::decode(answer)
            .ok()
            .and_then(|response| response.partial_success)
            .map(|partial| (partial.rejected_data_points, partial.error_message)),
        Signal::Traces => ExportTraceServiceResponse::decode(answer)
            .ok()
            .and_then(|response| response.partial_success)
            .map(|partial| (partial.rejected_spans, partial.error_message)),
    };
    partial.map_or_else(Taken::default, |(rejected, message)| Taken {
        rejected: u64::try_from(rejected).unwrap_or_default(),
        message: shown(message.as_bytes()),
    })
}

/// A receiver's text in one line of the log.
fn shown(text: &[u8]) -> String {
    one_line(String::from_utf8_lossy(text).trim(), limits::OTLP_TEXT_BYTES)
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::read::GzEncoder::new(body, flate2::Compression::fast());
    let mut compressed = Vec::new();
    // Reading from memory into memory does not fail.
    let _ = io::Read::read_to_end(&mut encoder, &mut compressed);
    compressed
}

fn tls_config(tls: &Tls) -> Result<TlsConfig, TlsError> {
    let roots = match &tls.authorities {
        Some(path) => certificates(path)?,
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
        }
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .unversioned_rustls_crypto_provider(provider);
    if let Some((certificate, key)) = &tls.client {
        let chain = certificates(certificate)?;
        config = config.client_cert(Some(ClientCert::new_with_certs(&chain, private_key(key)?)));
    }
    Ok(config.build())
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, TlsError> {
    let text = read(path)?;
    let found: Vec<_> = parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(TlsError::Empty { path: path.to_owned(), expected: "certificate" });
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKey<'static>, TlsError> {
    PrivateKey::from_pem(&read(path)?).map_err(|_| TlsError::Empty { path: path.to_owned(), expected: "private key" })
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}
