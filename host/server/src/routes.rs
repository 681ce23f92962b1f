//! The paths and their responses.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{Options, body, page, scrapes::Scrapes, telemetry_path as paths};
use ebhost_handle::Handle;
use ebhost_limits as limits;
use ebhost_metrics::{Encoding, Format};
use ebhost_telemetry::Report;

#[derive(Clone)]
struct Context {
    scrapes: Scrapes,
    options: Arc<Options>,
    in_flight: Arc<Semaphore>,
}

/// A scrape's permit to be in flight. The response carries it, so that it is returned after the last byte.
#[derive(Clone)]
pub(super) struct InFlight {
    _permit: Arc<OwnedSemaphorePermit>,
}

pub(super) fn router(handle: Handle, options: Options) -> Router {
    let path = options.telemetry_path.clone();
    Router::new()
        .route(paths::LANDING, get(landing))
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

async fn ready(State(context): State<Context>) -> Response {
    if *context.options.ready.borrow() {
        return "ebhost is ready.\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, "ebhost is loading packages.\n").into_response()
}

async fn metrics(State(context): State<Context>, headers: HeaderMap) -> Response {
    let Ok(permit) = context.in_flight.clone().try_acquire_owned() else { return too_many() };
    let mut response = scrape(&context, &headers).await;
    response.extensions_mut().insert(InFlight { _permit: Arc::new(permit) });
    response
}

fn too_many() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "too many scrapes are waiting\n").into_response()
}

async fn scrape(context: &Context, headers: &HeaderMap) -> Response {
    let format = Format::negotiate(header_text(headers, &header::ACCEPT).as_deref(), context.options.offered);
    let encoding = Encoding::negotiate(header_text(headers, &header::ACCEPT_ENCODING).as_deref());
    let deadline = Instant::now() + patience(headers);
    let Ok(chunks) = context.scrapes.request(format, deadline) else { return too_many() };
    let chunks = match encoding {
        Encoding::Identity => Some(chunks),
        Encoding::Gzip => body::gzip(chunks).await,
    };
    let body = match chunks {
        Some(chunks) => body::from_chunks(chunks).await,
        None => None,
    };
    let Some(body) = body else {
        return (StatusCode::SERVICE_UNAVAILABLE, "ebhost is stopping\n").into_response();
    };
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()))];
    let vary = [(header::VARY, HeaderValue::from_static("accept, accept-encoding"))];
    let mut response = (content_type, vary, body).into_response();
    if encoding == Encoding::Gzip {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// How long the scraper waits, less the time for encoding and the network. A header that makes no sense is ignored.
fn patience(headers: &HeaderMap) -> Duration {
    let seconds =
        headers.get("x-prometheus-scrape-timeout-seconds").and_then(|value| value.to_str().ok()?.parse().ok());
    let asked =
        seconds.filter(|seconds: &f64| *seconds > 0.0).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    asked.map_or(limits::SCRAPE, |asked| asked.min(limits::SCRAPE).mul_f64(limits::SCRAPE_SHARE))
}

/// The headers of that name joined with commas; those that are not text are ignored.
fn header_text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let lines: Vec<_> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

async fn landing(State(context): State<Context>) -> Html<String> {
    Html(page::landing(&context.options.version, context.options.telemetry_path.as_str()))
}

async fn status(State(context): State<Context>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let wants_json = query.is_some_and(|query| query.split('&').any(|pair| pair == "format=json"))
        || header_text(&headers, &header::ACCEPT).is_some_and(|accept| accept.starts_with("application/json"));
    if wants_json {
        return status_json(State(context)).await;
    }
    match report(&context).await {
        Some(report) => Html(page::status(&report)).into_response(),
        None => unavailable(),
    }
}

async fn status_json(State(context): State<Context>) -> Response {
    match report(&context).await {
        Some(report) => {
            let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
            // A report has no map with keys that are not text, so it always has a JSON form.
            (json, serde_json::to_vec(&report).unwrap_or_default()).into_response()
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
