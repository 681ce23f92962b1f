//! The paths and their responses.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Extension, Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tokio::{
    sync::Semaphore,
    time::{timeout, timeout_at},
};

use super::{
    Options,
    body::{self, SentChunks},
    chunks::BodyChunks,
    connections::Connection,
    gzip, live, page,
    scrapes::{AnswerForm, Scrapes},
    telemetry_path as paths,
    unsent::Reader,
};
use ebhost_handle::{Handle, HandleError};
use ebhost_limits as limits;
use ebhost_metrics::{Encoding, Format};
use ebhost_telemetry::{Report, SharedCounter, http, recent_log_lines};
use serde::Serialize;

#[derive(Clone)]
struct Context {
    scrapes: Scrapes,
    options: Arc<Options>,
    in_flight: Arc<Semaphore>,
}

pub(super) fn router(handle: Handle, options: Options) -> Router {
    let path = options.telemetry_path.clone();
    let live = live::router(&options.feed, &options.version, path.as_str());
    Router::new()
        .route(paths::STATUS, get(status))
        .route(paths::STATUS_JSON, get(status_json))
        .route(paths::HEALTHY, get(healthy))
        .route(paths::READY, get(ready))
        .route(path.as_str(), get(metrics))
        .with_state(Context {
            scrapes: Scrapes::new(handle, options.created),
            options: Arc::new(options),
            in_flight: Arc::new(Semaphore::new(limits::SCRAPES_IN_FLIGHT)),
        })
        .merge(live)
}

/// Whether the agent answers and every thread works: any may have ended by a panic.
async fn healthy(State(context): State<Context>) -> Response {
    if context.scrapes.handle().is_stopped() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the agent's thread has ended; the log says why\n").into_response();
    }
    if let Some(thread) = (context.options.failed_thread)() {
        let text = format!("the thread `{thread}` has failed; the log says why\n");
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    "ebhost is healthy.\n".into_response()
}

/// Whether metrics of a package are served. Answered while the agent is busy, too.
async fn ready(State(context): State<Context>) -> Response {
    let unavailable = |why: &'static str| (StatusCode::SERVICE_UNAVAILABLE, why).into_response();
    if !*context.options.ready.borrow() {
        return unavailable("ebhost is loading packages.\n");
    }
    match context.scrapes.handle().running_packages() {
        0 => unavailable("no package runs: there is none, or all are left out; see /status\n"),
        _ => "ebhost is ready.\n".into_response(),
    }
}

/// How long a client waits for the answer to a scrape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patience {
    /// Until when the kernel may be read for it: the rest of the time is for encoding and the network.
    read_until: Instant,
    /// When it gives up.
    answer_until: Instant,
}

/// Why a scrape has no metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum ScrapeError {
    #[error("too many scrapes are waiting")]
    InFlight,
    #[error("too many requests wait for the agent")]
    Queue,
    #[error("the kernel could not be read within the time that the scraper waits")]
    Deadline,
    #[error("ebhost is stopping")]
    Stopping,
}

async fn metrics(
    State(context): State<Context>,
    connection: Option<Extension<Arc<Connection>>>,
    headers: HeaderMap,
) -> Response {
    // Without a connection there is none to close; tests of the routes have none.
    let connection = connection.map_or_else(|| Arc::new(Connection::new(None)), |Extension(connection)| connection);
    scrape(&context, Reader::of(connection), &headers).await.unwrap_or_else(refuse)
}

fn refuse(error: ScrapeError) -> Response {
    let counter: Option<&SharedCounter> = match error {
        ScrapeError::InFlight => Some(&http().refused_in_flight),
        ScrapeError::Queue => Some(&http().refused_queue),
        ScrapeError::Deadline => Some(&http().refused_deadline),
        ScrapeError::Stopping => None,
    };
    counter.into_iter().for_each(SharedCounter::increment);
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}

async fn scrape(context: &Context, client: Reader, headers: &HeaderMap) -> Result<Response, ScrapeError> {
    // Returned when the answer begins: from then on its bytes are bounded, not its number.
    let permit =
        timeout(limits::WAIT_FOR_FLIGHT, context.in_flight.acquire()).await.map_err(|_| ScrapeError::InFlight)?;
    let _permit = permit.map_err(|_| ScrapeError::Stopping)?;
    let format = Format::negotiate(header_text(headers, &header::ACCEPT).as_deref(), context.options.offered);
    let encoding = Encoding::negotiate(header_text(headers, &header::ACCEPT_ENCODING).as_deref());
    let patience = Patience::of(headers, Instant::now());
    let form = AnswerForm { format, encoding };
    let chunks = context.scrapes.request(form, patience.read_until, client.clone()).map_err(|error| match error {
        HandleError::Busy => ScrapeError::Queue,
        HandleError::Stopped => ScrapeError::Stopping,
    })?;
    let body = timeout_at(patience.answer_until.into(), body_of(context, chunks, encoding, client)).await;
    let body = body.map_err(|_| ScrapeError::Deadline)?.ok_or(ScrapeError::Stopping)?;
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()))];
    let vary = [(header::VARY, HeaderValue::from_static("accept, accept-encoding"))];
    let mut response = (content_type, vary, body).into_response();
    if encoding == Encoding::Gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The body of the answer, once its first bytes are there; `None` if it was given up before.
async fn body_of(
    context: &Context,
    chunks: BodyChunks,
    encoding: Encoding,
    client: Reader,
) -> Option<axum::body::Body> {
    let chunks = match encoding {
        Encoding::Identity => SentChunks::Ready(chunks),
        Encoding::Gzip => gzip::gzip(chunks, context.scrapes.unsent(), client).await?,
    };
    body::from_chunks(chunks).await
}

impl Patience {
    /// As the client's header says it, at least [`SHORTEST_SCRAPE`](limits::SHORTEST_SCRAPE). A header that makes no sense is ignored.
    fn of(headers: &HeaderMap, now: Instant) -> Self {
        let seconds =
            headers.get("x-prometheus-scrape-timeout-seconds").and_then(|value| value.to_str().ok()?.parse().ok());
        let asked = seconds
            .filter(|seconds: &f64| *seconds > 0.0)
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(|asked| asked.clamp(limits::SHORTEST_SCRAPE, limits::SCRAPE));
        let read = asked.map_or(limits::SCRAPE, |asked| asked.mul_f64(limits::SCRAPE_SHARE));
        // A client that does not say how long it waits gets an answer even if reading took all of the time.
        let answer = asked.unwrap_or(limits::SCRAPE.mul_f64(1.0 / limits::SCRAPE_SHARE));
        Self { read_until: now + read, answer_until: now + answer }
    }
}

/// The headers of that name joined with commas; those that are not text are ignored.
fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

async fn status(State(context): State<Context>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let wants_json = query.is_some_and(|query| query.split('&').any(|pair| pair == "format=json"))
        || header_text(&headers, &header::ACCEPT).is_some_and(|accept| accept.starts_with("application/json"));
    if wants_json {
        return status_json(State(context)).await;
    }
    match report(&context).await {
        Some(report) => Html(page::status(&report, &context.options.settings, &recent_log_lines())).into_response(),
        None => unavailable(),
    }
}

/// `/status.json`.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    report: Report,
    settings: &'a [page::Setting],
    log: Vec<String>,
}

/// The text of `/status.json`: the report, the settings in force and the end of the log.
pub fn status_text(report: Report, settings: &[page::Setting]) -> Vec<u8> {
    let status = Status { report, settings, log: recent_log_lines() };
    // It has no map with keys that are not text, so it always has a JSON form.
    serde_json::to_vec(&status).unwrap_or_default()
}

async fn status_json(State(context): State<Context>) -> Response {
    match report(&context).await {
        Some(report) => {
            let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            (json, status_text(report, &context.options.settings)).into_response()
        }
        None => unavailable(),
    }
}

/// `None` while the agent is loading packages or busy with a long scrape.
async fn report(context: &Context) -> Option<Report> {
    timeout(limits::SCRAPE, context.scrapes.handle().status()).await.ok()?.ok()
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the agent is busy or stopping; try again\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use ebhost_metrics::Created;
    use ebhost_recorder::{Feed, FeedOptions};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::watch;

    use super::*;
    use crate::WebConfigFile;

    fn options(ready: watch::Receiver<bool>) -> Options {
        Options {
            telemetry_path: "/metrics".parse().unwrap(),
            offered: &[Format::Text004],
            created: Created::LeftOut,
            version: "0".into(),
            web_config: Arc::new(WebConfigFile::open(None).unwrap()),
            ready,
            failed_thread: || None,
            settings: Arc::default(),
            feed: Feed::new(FeedOptions { window: Duration::ZERO, folder: None, status: Arc::new(|_| Vec::new()) }),
        }
    }

    /// `X-Prometheus-Scrape-Timeout-Seconds: 0.000001` made everybody's maps late.
    #[test]
    fn a_client_waits_for_a_second_at_least() {
        let now = Instant::now();
        let patience = |value: &'static str| {
            let name = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");
            let patience = Patience::of(&[(name, HeaderValue::from_static(value))].into_iter().collect(), now);
            ((patience.read_until - now).as_secs_f64(), (patience.answer_until - now).as_secs_f64())
        };
        for tiny in ["0.000001", "1e-300", "0.999", "1"] {
            assert_eq!(patience(tiny), (0.8, 1.0), "{tiny}");
        }
        assert_eq!(patience("10"), (8.0, 10.0));
        assert_eq!(patience("1e9"), (24.0, 30.0));
        for senseless in ["0", "-1", "NaN", "inf", "soon", ""] {
            assert_eq!(patience(senseless), (30.0, 37.5), "{senseless}");
        }
    }

    async fn status(router: &TowerToHyperService<Router>, path: &str) -> StatusCode {
        router.call(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status()
    }

    /// The agent's queue is closed when its thread has ended by a panic.
    #[tokio::test]
    async fn without_an_agent_it_is_not_healthy() {
        let (handle, agent) = ebhost_handle::channel();
        let (is_ready, ready) = watch::channel(false);
        let router = TowerToHyperService::new(router(handle, options(ready)));
        assert_eq!(status(&router, "/-/healthy").await, StatusCode::OK);
        assert_eq!(status(&router, "/-/ready").await, StatusCode::SERVICE_UNAVAILABLE);
        is_ready.send(true).unwrap();
        assert_eq!(status(&router, "/-/ready").await, StatusCode::SERVICE_UNAVAILABLE, "no package runs");
        agent.set_running_packages(1);
        assert_eq!(status(&router, "/-/ready").await, StatusCode::OK);
        drop(agent);
        for path in ["/-/healthy", "/metrics", "/status", "/status.json"] {
            assert_eq!(status(&router, path).await, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        }
        assert_eq!(status(&router, "/").await, StatusCode::OK);
    }

    #[tokio::test]
    async fn a_thread_that_has_failed_is_named_by_the_health_check() {
        let (handle, _agent) = ebhost_handle::channel();
        let (_is_ready, ready) = watch::channel(true);
        let options = Options { failed_thread: || Some("events:ring".to_owned()), ..options(ready) };
        let router = TowerToHyperService::new(router(handle, options));
        let request = Request::get("/-/healthy").body(Body::empty()).unwrap();
        let response = router.call(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        let body = axum::body::to_bytes(response.into_body(), 1 << 10).await.unwrap();
        assert_eq!(body, "the thread `events:ring` has failed; the log says why\n");
    }
}
