//! An OTLP receiver that answers as a test says, and keeps the spans that it is sent, decoded by the reference messages.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message as _;

use crate::process::wait_until;

const PATIENCE: Duration = Duration::from_secs(60);

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Taken,
    Busy,
    Wrong,
    /// Never.
    Silence,
}

/// A span as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedSpan {
    /// Ids in hexadecimal; a span without parent has an empty one.
    pub trace_id: String,
    pub span_id: String,
    pub parent: String,
    pub name: String,
    /// `service.name` of its resource.
    pub service: String,
    pub host: String,
    /// Nanoseconds since 1970.
    pub start: u64,
    pub end: u64,
    pub attributes: BTreeMap<String, String>,
}

/// A receiver that speaks just enough HTTP to be wrong in a chosen way. It receives until the test ends.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    answer: Mutex<Answer>,
    requests: AtomicUsize,
    spans: Mutex<Vec<ReceivedSpan>>,
}

impl Receiver {
    pub fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        let (requests, spans) = (AtomicUsize::new(0), Mutex::default());
        let shared = Arc::new(Shared { answer: Mutex::new(answer), requests, spans });
        let receiving = shared.clone();
        thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(|stream| receiving.receive(stream)));
        Self { address, shared }
    }

    /// The URL without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn answers(&self, answer: Answer) {
        *self.shared.answer.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    /// The URL that traces are posted to.
    pub fn traces(&self) -> String {
        format!("{}/v1/traces", self.url())
    }

    /// Requests so far, however they were answered.
    pub fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Waits for so many further requests.
    pub fn wait_for(&self, requests: usize) {
        let target = self.requests() + requests;
        wait_until("requests", PATIENCE, || (self.requests() >= target).then_some(()));
    }

    /// The spans that were taken so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shared.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The spans that were taken, once there are so many.
    pub fn wait_for_spans(&self, count: usize) -> Vec<ReceivedSpan> {
        wait_until("spans", PATIENCE, || Some(self.spans()).filter(|spans| spans.len() >= count))
    }
}

impl Shared {
    fn receive(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut length, mut path, mut is_compressed) = (0, String::new(), false);
        let mut line = String::new();
        while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a number");
            } else if let Some(target) = lower.strip_prefix("post ") {
                path = target.split(' ').next().unwrap_or_default().to_owned();
            }
            is_compressed |= lower.starts_with("content-encoding: gzip");
            line.clear();
        }
        let mut body = vec![0; length];
        let _ = reader.read_exact(&mut body);
        self.requests.fetch_add(1, Ordering::SeqCst);
        let answer = *self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let text = match answer {
            Answer::Taken => {
                if path == "/v1/traces" {
                    self.keep(&body, is_compressed);
                }
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            }
            Answer::Busy => "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Answer::Wrong => "HTTP/1.1 400 Bad\r\ncontent-length: 9\r\nconnection: close\r\n\r\nno\nthanks",
            Answer::Silence => {
                thread::spawn(move || drop((thread::sleep(PATIENCE), reader)));
                return;
            }
        };
        let _ = reader.get_mut().write_all(text.as_bytes());
    }

    fn keep(&self, body: &[u8], is_compressed: bool) {
        let mut plain = Vec::new();
        if is_compressed {
            GzDecoder::new(body).read_to_end(&mut plain).expect("a gzip stream");
        } else {
            plain.extend_from_slice(body);
        }
        let request = ExportTraceServiceRequest::decode(&plain[..]).expect("a request by the reference messages");
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        for group in request.resource_spans {
            let resource = texts(group.resource.expect("a resource").attributes);
            for span in group.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                spans.push(ReceivedSpan {
                    trace_id: hex(&span.trace_id),
                    span_id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    name: span.name,
                    service: resource["service.name"].clone(),
                    host: resource["host.name"].clone(),
                    start: span.start_time_unix_nano,
                    end: span.end_time_unix_nano,
                    attributes: texts(span.attributes),
                });
            }
        }
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |attribute: KeyValue| match attribute.value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => (attribute.key, text),
        other => panic!("{}: {other:?} is no text", attribute.key),
    };
    attributes.into_iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
