//! The server stage: requests in, responses out.
//!
//! It knows no BPF and no WASM: a scrape is a question to the agent's thread through a bounded queue, answered with bytes.
//! A scrape that cannot be queued is answered 503, so a flood of them never grows memory.

mod body;

use std::{
    future::IntoFuture as _,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::timeout,
};

use crate::{
    exposition::{Encoding, Format},
    limits,
};

/// What a scraper can choose from.
const OFFERED: [Format; 3] = [Format::Text004, Format::OpenMetrics100, Format::OpenMetrics001];

/// A scrape that waits for the agent.
#[derive(Debug)]
pub struct Scrape {
    pub format: Format,
    /// When the answer is of no use any more.
    pub until: Instant,
    pub reply: oneshot::Sender<Vec<Bytes>>,
}

/// What a server needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    pub telemetry_path: String,
    pub version: String,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error(
        "cannot listen on {address}: {error}{}",
        if error.kind() == io::ErrorKind::AddrInUse {
            "; is another ebhost or ebpf_exporter running? stop it, or choose another with --web.listen-address"
        } else {
            "; choose another with --web.listen-address"
        }
    )]
    Bind { address: SocketAddr, error: io::Error },
    #[error("the server ended: {0}")]
    Serve(io::Error),
}

#[derive(Clone)]
struct Context {
    scrapes: mpsc::Sender<Scrape>,
    options: Arc<Options>,
}

/// Binds every address, so that one in use is found before any BPF program is loaded.
pub async fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    for address in addresses {
        listeners.push(bind_one(*address).await.map_err(|error| ServerError::Bind { address: *address, error })?);
    }
    Ok(listeners)
}

async fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    match TcpListener::bind(address).await {
        // A kernel without IPv6 still has all of its IPv4 addresses.
        Err(error) if address.ip().is_unspecified() && error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        result => result,
    }
}

/// Serves until `stop` changes, then finishes what is in flight, for a bounded time.
pub async fn serve(
    listeners: Vec<TcpListener>,
    scrapes: mpsc::Sender<Scrape>,
    options: Options,
    stop: watch::Receiver<()>,
) -> Result<(), ServerError> {
    let path = options.telemetry_path.clone();
    let context = Context { scrapes, options: Arc::new(options) };
    let router = Router::new()
        .route("/", get(landing))
        .route(&path, get(metrics))
        .route("/-/healthy", get(async || "ebhost is healthy.\n"))
        .route("/-/ready", get(async || "ebhost is ready.\n"))
        .with_state(context);
    let mut servers = JoinSet::new();
    for listener in listeners {
        let server = axum::serve(listener, router.clone()).with_graceful_shutdown(stopped(stop.clone()));
        servers.spawn(server.into_future());
    }
    drop(router);
    stopped(stop).await;
    let all = async {
        while let Some(ended) = servers.join_next().await {
            ended.map_err(io::Error::other).and_then(|result| result).map_err(ServerError::Serve)?;
        }
        Ok(())
    };
    timeout(limits::SHUTDOWN, all).await.unwrap_or(Ok(()))
}

/// Ends when the stop is given, or nobody is left to give it.
async fn stopped(mut stop: watch::Receiver<()>) {
    let _ = stop.changed().await;
}

async fn metrics(State(context): State<Context>, headers: HeaderMap) -> Response {
    let format = Format::negotiate(header_text(&headers, &header::ACCEPT).as_deref(), &OFFERED);
    let encoding = Encoding::negotiate(header_text(&headers, &header::ACCEPT_ENCODING).as_deref());
    let until = Instant::now() + patience(&headers);
    let (reply, answer) = oneshot::channel();
    if context.scrapes.try_send(Scrape { format, until, reply }).is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many scrapes are waiting\n").into_response();
    }
    let Ok(chunks) = answer.await else {
        return (StatusCode::SERVICE_UNAVAILABLE, "ebhost is stopping\n").into_response();
    };
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()))];
    let vary = [(header::VARY, HeaderValue::from_static("accept, accept-encoding"))];
    match encoding {
        Encoding::Identity => (content_type, vary, body::of_chunks(chunks)).into_response(),
        Encoding::Gzip => match tokio::task::spawn_blocking(move || body::gzip(&chunks)).await {
            Ok(zipped) => {
                let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
                (content_type, vary, encoding, zipped).into_response()
            }
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
    }
}

/// How long the scraper waits, less what the answer's way takes. A header that says nothing sensible is as good as none.
fn patience(headers: &HeaderMap) -> Duration {
    let seconds =
        headers.get("x-prometheus-scrape-timeout-seconds").and_then(|value| value.to_str().ok()?.parse().ok());
    let asked =
        seconds.filter(|seconds: &f64| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    asked.map_or(limits::SCRAPE, |asked| asked.min(limits::SCRAPE).mul_f64(limits::SCRAPE_SHARE))
}

/// The headers of that name as one; what is no text is as good as none.
fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

async fn landing(State(context): State<Context>) -> Html<String> {
    let Options { telemetry_path, version } = &*context.options;
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>ebhost</title></head>\
         <body><h1>ebhost</h1><p>Version {version}</p><ul><li><a href=\"{telemetry_path}\">Metrics</a></li>\
         <li><a href=\"/-/healthy\">Healthy</a></li><li><a href=\"/-/ready\">Ready</a></li></ul></body></html>\n"
    ))
}
