//! Accepts connections and serves requests on them, until it is told to stop.

use std::{convert::Infallible, io, sync::Arc};

use axum::{
    Router,
    body::Body,
    http::{HeaderValue, Request, Response, StatusCode, header},
    response::IntoResponse as _,
};
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{Service as _, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    Listener, Options, WebConfigFile,
    connections::{Busy, Connections, ResponseBody, StallGuard},
    password::Passwords,
    routes::{self, InFlight},
};
use ebhost_handle::Handle;
use ebhost_limits as limits;

/// Shared by all connections.
#[derive(Clone)]
struct Shared {
    router: TowerToHyperService<Router>,
    web_config: Arc<WebConfigFile>,
    passwords: Arc<Passwords>,
    stop: watch::Receiver<()>,
}

/// Serves until `stop` changes, then finishes what is in flight, for a bounded time.
pub async fn serve(listeners: Vec<Listener>, handle: Handle, options: Options, stop: watch::Receiver<()>) {
    let web_config = options.web_config.clone();
    let router = routes::router(handle, options);
    let shared =
        Shared { router: TowerToHyperService::new(router), web_config, passwords: Arc::new(Passwords::new()), stop };
    let connections = Connections::default();
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn(accept(listener, shared.clone(), connections.clone()));
    }
    // When told to stop, each closes its port and returns its open connections.
    let mut open = JoinSet::new();
    while let Some(ended) = accepting.join_next().await {
        if let Ok(mut theirs) = ended {
            connections.close_idle();
            open.spawn(async move { while theirs.join_next().await.is_some() {} });
        }
    }
    let all = async { while open.join_next().await.is_some() {} };
    if timeout(limits::SHUTDOWN, all).await.is_err() {
        warn!("connections that took too long to finish are cut off");
    }
}

/// Accepts connections from one listener until it is told to stop; returns those that are still open.
async fn accept(listener: Listener, shared: Shared, connections: Connections) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let mut stop = shared.stop.clone();
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener) => accepted,
            _ = stop.changed() => return tasks,
        };
        while tasks.try_join_next().is_some() {}
        match accepted {
            Ok(_) if !connections.make_room() => {
                debug!("connection closed: the limit is reached, and all others are busy");
            }
            Ok(stream) => {
                let busy = Busy::default();
                let task = tasks.spawn(connection(stream, shared.clone(), busy.clone()));
                connections.add(task, busy);
            }
            Err(error) => {
                warn!("a connection cannot be accepted: {error}");
                // Most likely the process has no free descriptors; closing connections free some.
                sleep(limits::ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A TCP or unix connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

async fn next(listener: &Listener) -> io::Result<Box<dyn Stream>> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream))
        }
        Listener::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
    }
}

async fn connection(stream: Box<dyn Stream>, shared: Shared, busy: Busy) {
    // A changed TLS configuration applies to new connections.
    match shared.web_config.current().await.tls.clone() {
        None => requests(StallGuard::new(stream), shared, busy).await,
        Some(acceptor) => match timeout(limits::HEADER_TIME, acceptor.accept(StallGuard::new(stream))).await {
            Ok(Ok(stream)) => requests(stream, shared, busy).await,
            Ok(Err(error)) => debug!("TLS handshake failed: {error}"),
            Err(_) => debug!("TLS handshake took too long"),
        },
    }
}

/// Serves the requests of one connection.
async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shared: Shared, busy: Busy) {
    let mut stop = shared.stop.clone();
    let service = service_fn(move |request| answer(request, shared.clone(), busy.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIME)
        .max_buf_size(limits::HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stop.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!("connection ended: {error}");
    }
}

/// Serves one request: authenticates it, routes it, and adds the headers that the web configuration sets.
async fn answer(request: Request<Incoming>, shared: Shared, busy: Busy) -> Result<Response<ResponseBody>, Infallible> {
    let at_work = busy.begin();
    let web_config = shared.web_config.current().await;
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_admitted = web_config.users.is_empty() || shared.passwords.admit(&web_config.users, authorization).await;
    let mut response = if is_admitted {
        shared.router.call(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
    } else {
        let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"ebhost\""))];
        (StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response()
    };
    response.headers_mut().extend(web_config.headers.iter().cloned());
    let in_flight = response.extensions_mut().remove::<InFlight>();
    Ok(response.map(|body| ResponseBody { body, _at_work: at_work, _in_flight: in_flight }))
}
