//! The live page: its files, the stream of frames that it draws, and the flight recorder's dumps.
//!
//! The page is plain ES modules below `web/`, which are part of the binary. It asks for nothing from elsewhere, and its
//! Content-Security-Policy does not let it. What it shows it computes itself: the host sends the cells that changed, once a second, and only
//! while somebody looks.

mod assets;
mod recordings;
mod stream;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Router,
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use ebhost_recorder::{Feed, file_name, parse_duration};
use serde::Serialize;

use assets::Assets;
pub use recordings::{Recording, serve_recordings};
use stream::ChunkStream;

/// The paths of the page's files and of its stream begin so.
pub(crate) const PREFIX: &str = "/page/";
const SOURCE: &str = "/page/source.json";
const STREAM: &str = "/page/stream";
pub(crate) const DUMP: &str = "/recorder/dump";

#[derive(Clone)]
struct Live {
    feed: Feed,
    source: Arc<Source>,
}

/// Where the page's frames come from, for the page.
#[derive(Debug, Serialize)]
struct Source {
    version: String,
    /// Path of the stream, relative to the page.
    stream: &'static str,
    /// How much the recorder keeps; 0: it is off.
    window_seconds: u64,
}

/// The routes of the live page of a host whose metrics are at `telemetry_path`.
pub(crate) fn router(feed: &Feed, version: &str, telemetry_path: &str) -> Router {
    let window_seconds = feed.window().as_secs();
    let source = Source { version: version.to_owned(), stream: "page/stream", window_seconds };
    Router::new()
        .route(SOURCE, get(source_json))
        .route(STREAM, get(follow))
        .route(DUMP, get(dump))
        .with_state(Live { feed: feed.clone(), source: Arc::new(source) })
        .merge(Assets::with_metrics_at(telemetry_path).router())
}

async fn source_json(State(live): State<Live>) -> Response {
    json(&*live.source)
}

/// An answer that changes from host to host.
fn json(value: &impl Serialize) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, serde_json::to_vec(value).unwrap_or_default()).into_response()
}

/// The value of a parameter of a query; none of ours has characters that are escaped.
fn parameter<'a>(query: &'a Option<String>, name: &str) -> Option<&'a str> {
    let pairs = query.iter().flat_map(|query| query.split('&')).filter_map(|pair| pair.split_once('='));
    pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
}

/// `history`: how many seconds of the recorder's window precede the stream.
async fn follow(State(live): State<Live>, RawQuery(query): RawQuery) -> Response {
    let history = parameter(&query, "history").and_then(|seconds| seconds.parse().ok()).unwrap_or(0);
    match live.feed.view(Duration::from_secs(history)) {
        Ok(frames) => octets(Body::new(ChunkStream::of(frames))),
        Err(refused) => {
            let retry = [(header::RETRY_AFTER, "5")];
            (StatusCode::SERVICE_UNAVAILABLE, retry, format!("{refused}\n")).into_response()
        }
    }
}

/// `last`: how much of the window, as in `5m`; all of it by default.
async fn dump(State(live): State<Live>, RawQuery(query): RawQuery) -> Response {
    let last = match parameter(&query, "last").map(parse_duration) {
        None => Duration::MAX,
        Some(Ok(last)) => last,
        Some(Err(why)) => return (StatusCode::BAD_REQUEST, format!("last: {why}\n")).into_response(),
    };
    let Some(dump) = live.feed.dump(last) else {
        let why = "nothing is recorded: the flight recorder is off; start ebhost with --recorder.window 15m\n";
        return (StatusCode::NOT_FOUND, why).into_response();
    };
    let mut response = octets(Body::new(ChunkStream::of_dump(dump)));
    let name = format!("attachment; filename=\"{}\"", file_name(SystemTime::now()));
    if let Ok(name) = HeaderValue::try_from(name) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, name);
    }
    response
}

/// An answer that is not kept, and that no proxy holds back.
fn octets(body: Body) -> Response {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    (headers, body).into_response()
}
