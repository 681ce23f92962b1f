//! Paths and what they answer.

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
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use super::{Ask, Options, Scrape, body, page};
use ebhost_limits as limits;
use ebhost_metrics::{Encoding, Format};
use ebhost_telemetry::Report;

#[derive(Clone)]
struct Context {
    asks: mpsc::Sender<Ask>,
    options: Arc<Options>,
    in_flight: Arc<Semaphore>,
}

/// A scrape's place among those whose answers are not yet taken; it goes with the answer's last byte.
#[derive(Clone)]
pub(super) struct InFlight {
    _permit: Arc<OwnedSemaphorePermit>,
}

pub(super) fn router(asks: mpsc::Sender<Ask>, options: Options) -> Router {
    let path = options.telemetry_path.clone();
    Router::new()
        .route("/", get(landing))
        .route("/status", get(status))
        .route("/status.json", get(status_json))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route(&path, get(metrics))
        .with_state(Context {
            asks,
            options: Arc::new(options),
            in_flight: Arc::new(Semaphore::new(limits::SCRAPES_IN_FLIGHT)),
        })
}

/// Whether somebody is there to answer scrapes: the agent's thread may have ended by a panic.
async fn healthy(State(context): State<Context>) -> Response {
    if context.asks.is_closed() {
        return (StatusCode::SERVICE_UNAVAILABLE, "the agent's thread has ended; the log says why\n").into_response();
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
    let until = Instant::now() + patience(headers);
    let (reply, parts) = mpsc::unbounded_channel();
    if context.asks.try_send(Ask::Scrape(Scrape { format, until, reply })).is_err() {
        return too_many();
    }
    let parts = match encoding {
        Encoding::Identity => Some(parts),
        Encoding::Gzip => body::gzip(parts).await,
    };
    let body = match parts {
        Some(parts) => body::of_parts(parts).await,
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
    Html(page::landing(&context.options.version, &context.options.telemetry_path))
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

/// None: the agent is loading packages, or is at a long scrape.
async fn report(context: &Context) -> Option<Report> {
    let (reply, answer) = oneshot::channel();
    context.asks.try_send(Ask::Status(reply)).ok()?;
    timeout(limits::SCRAPE, answer).await.ok()?.ok()
}

fn unavailable() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "the agent is busy or stopping; try again\n").into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::watch;

    use super::*;
    use crate::WebConfigFile;

    async fn status(router: &TowerToHyperService<Router>, path: &str) -> StatusCode {
        router.call(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status()
    }

    /// As when its thread has ended by a panic.
    #[tokio::test]
    async fn without_an_agent_it_is_not_healthy() {
        let (asks, agent) = mpsc::channel(1);
        let (is_ready, ready) = watch::channel(false);
        let web_config = Arc::new(WebConfigFile::open(None).unwrap());
        let options = Options {
            telemetry_path: "/metrics".into(),
            version: "0".into(),
            web_config,
            ready,
            offered: &[Format::Text004],
        };
        let router = TowerToHyperService::new(router(asks, options));
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
}
