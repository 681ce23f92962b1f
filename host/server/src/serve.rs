//! Accepts connections and serves requests on them, until it is told to stop.

use std::{
    convert::Infallible,
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

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
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    Listener, Options, WebConfigFile,
    connections::{Connection, Connections, Open, ResponseBody, StallGuard},
    password::{Admission, Passwords},
    routes,
    web_config::WebConfig,
};
use ebhost_handle::Handle;
use ebhost_limits as limits;
use ebhost_telemetry::http;

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
    serve_routes(listeners, routes::router(handle, options), web_config, stop).await;
}

/// Serves these routes until `stop` changes, then finishes what is in flight, for a bounded time.
pub(crate) async fn serve_routes(
    listeners: Vec<Listener>,
    router: Router,
    web_config: Arc<WebConfigFile>,
    stop: watch::Receiver<()>,
) {
    let watching = tokio::spawn(web_config.clone().watch(stop.clone()));
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
    watching.abort();
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
            Ok((stream, peer)) => {
                let connection = Arc::new(Connection::new(peer));
                connection.runs_as(tasks.spawn(serve_connection(stream, shared.clone(), connection.clone())));
                connections.add(connection);
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

async fn next(listener: &Listener) -> io::Result<(Box<dyn Stream>, Option<IpAddr>)> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A kernel that cannot do it holds more.
            let _ = SockRef::from(&stream).set_tcp_notsent_lowat(limits::KERNEL_UNSENT_BYTES);
            // An IPv4 client of an IPv6 socket is the same client at both.
            Ok((Box::new(stream), Some(peer.ip().to_canonical())))
        }
        Listener::Unix(listener, _) => Ok((Box::new(listener.accept().await?.0), None)),
    }
}

async fn serve_connection(stream: Box<dyn Stream>, shared: Shared, connection: Arc<Connection>) {
    let _open = Open::new();
    let stream = StallGuard::new(stream, connection.clone());
    // A changed TLS configuration applies to new connections.
    let web_config = shared.web_config.current();
    let Some(tls) = &web_config.tls else {
        return requests(stream, shared, Client { connection, has_certificate: true }).await;
    };
    match timeout(limits::HEADER_TIME, tls.acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let has_certificate = tls.clients.admits(stream.get_ref().1.peer_certificates());
            requests(stream, shared, Client { connection, has_certificate }).await;
        }
        Ok(Err(error)) => debug!("TLS handshake failed: {error}"),
        Err(_) => debug!("TLS handshake took too long"),
    }
}

/// The client of a connection.
#[derive(Clone)]
struct Client {
    connection: Arc<Connection>,
    /// Whether it has shown the certificate that the web configuration asks for, or none is asked for.
    has_certificate: bool,
}

/// Serves the requests of one connection.
async fn requests<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(stream: S, shared: Shared, client: Client) {
    let mut stop = shared.stop.clone();
    let service = service_fn(move |request| answer(request, shared.clone(), client.clone()));
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

/// Serves one request: checks that it is allowed, routes it, and adds the headers that the web configuration sets.
async fn answer(
    mut request: Request<Incoming>,
    shared: Shared,
    client: Client,
) -> Result<Response<ResponseBody>, Infallible> {
    let at_work = client.connection.begin();
    let web_config = shared.web_config.current();
    let mut response = match refusal(&request, &shared, &web_config, &client).await {
        Some(refusal) => refusal,
        None => {
            at_work.admit();
            request.extensions_mut().insert(client.connection);
            shared.router.call(request.map(Body::new)).await.unwrap_or_else(|never| match never {})
        }
    };
    response.headers_mut().extend(web_config.headers.iter().cloned());
    Ok(response.map(|body| ResponseBody { body, _at_work: at_work }))
}

/// The answer to a request that is not allowed; `None` if it is.
async fn refusal(
    request: &Request<Incoming>,
    shared: &Shared,
    web_config: &WebConfig,
    client: &Client,
) -> Option<Response<Body>> {
    if web_config.rate_limit.as_ref().is_some_and(|limit| !limit.admits(Instant::now())) {
        http().refused_rate.increment();
        return Some(too_many_requests("more requests than `rate_limit` allows\n"));
    }
    if web_config.excluded_paths.contains(request.uri().path()) {
        return None;
    }
    if !client.has_certificate {
        return Some((StatusCode::UNAUTHORIZED, "a client certificate is needed\n").into_response());
    }
    if web_config.users.is_empty() {
        return None;
    }
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match shared.passwords.admit(&web_config.users, authorization, client.connection.peer()).await {
        Admission::Admitted => None,
        Admission::Denied => {
            let challenge = [(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"ebhost\""))];
            Some((StatusCode::UNAUTHORIZED, challenge, "Unauthorized\n").into_response())
        }
        Admission::Busy => Some(too_many_requests("too many passwords are being checked\n")),
    }
}

/// How long a client is asked to wait that sends too much.
const RETRY_AFTER: Duration = Duration::from_secs(1);

fn too_many_requests(why: &'static str) -> Response<Body> {
    let retry = [(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()))];
    (StatusCode::TOO_MANY_REQUESTS, retry, why).into_response()
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
    };

    use axum::routing::get;
    use tokio::{net::TcpListener, task::spawn_blocking};

    use super::*;

    #[tokio::test]
    async fn a_client_is_answered_until_the_server_is_told_to_stop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/", get(|| async { "text" }));
        let (told, stop) = watch::channel(());
        let web_config = Arc::new(WebConfigFile::open(None).unwrap());
        let served = tokio::spawn(serve_routes(vec![Listener::Tcp(listener)], router, web_config, stop));
        let client = spawn_blocking(move || {
            let mut client = TcpStream::connect(address).unwrap();
            client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut answer = String::new();
            client.read_to_string(&mut answer).map(|_| answer)
        });
        let answer = client.await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\ntext"), "{answer}");
        told.send(()).unwrap();
        served.await.unwrap();
        assert!(TcpStream::connect(address).is_err(), "the port is closed");
    }
}
