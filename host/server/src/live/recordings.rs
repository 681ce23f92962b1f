//! The page for recordings instead of a running host: what `ebhost view` serves.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;

use super::{SOURCE, assets::Assets, json};
use crate::{Listener, WebConfigFile, serve::serve_routes};

/// A recording that is viewed.
#[derive(Debug, Clone)]
pub struct Recording {
    pub name: String,
    pub bytes: Bytes,
}

/// The recordings, for the page.
#[derive(Debug, Serialize)]
struct Source {
    version: String,
    recordings: Vec<Link>,
}

#[derive(Debug, Serialize)]
struct Link {
    name: String,
    url: String,
}

/// Serves the page and these recordings until `stop` changes.
pub async fn serve_recordings(
    listeners: Vec<Listener>,
    recordings: Vec<Recording>,
    version: String,
    web_config: WebConfigFile,
    stop: watch::Receiver<()>,
) {
    serve_routes(listeners, router(recordings, version), Arc::new(web_config), stop).await;
}

fn router(recordings: Vec<Recording>, version: String) -> Router {
    let link = |(at, recording): (usize, &Recording)| Link {
        name: recording.name.clone(),
        url: format!("page/recording/{at}"),
    };
    let source = Arc::new(Source { version, recordings: recordings.iter().enumerate().map(link).collect() });
    let recordings = Arc::new(recordings);
    Router::new()
        .route(SOURCE, get(move || async move { json(&*source) }))
        .route("/page/recording/{number}", get(recording))
        .with_state(recordings)
        .merge(Assets::without_host().router())
}

async fn recording(State(recordings): State<Arc<Vec<Recording>>>, Path(number): Path<usize>) -> Response {
    let content = [(header::CONTENT_TYPE, "application/octet-stream"), (header::CACHE_CONTROL, "no-store")];
    match recordings.get(number) {
        Some(recording) => (content, Body::from(recording.bytes.clone())).into_response(),
        None => (StatusCode::NOT_FOUND, "there is no such recording\n").into_response(),
    }
}
