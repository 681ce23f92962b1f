//! Debian's Prometheus, scraping one target every second.

use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    authority::Issued,
    debian,
    folder::Folder,
    http,
    process::{Running, wait_until},
};

/// A server with its own configuration and storage. Stopped on drop.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    _process: Running,
    _folder: Folder,
}

impl Prometheus {
    /// A server without options about formats: it sends its default Accept header.
    pub fn scraping(target: SocketAddr) -> Self {
        Self::with(target, &[])
    }

    /// A server with these options.
    pub fn with(target: SocketAddr, args: &[&str]) -> Self {
        Self::run(Command::new("prometheus"), target, args)
    }

    /// The server of the next Debian, which knows start times and more features.
    pub fn newer(target: SocketAddr, args: &[&str]) -> Self {
        Self::run(debian::PROMETHEUS.command("usr/bin/prometheus"), target, args)
    }

    fn run(mut command: Command, target: SocketAddr, args: &[&str]) -> Self {
        let (folder, address) = (Folder::new(), free_address());
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs: [{{ job_name: ebhost, static_configs: [{{ targets: ['{target}'] }}] }}]\n"
        );
        fs::write(&config, text).expect("a file in our own folder");
        command.arg(format!("--config.file={}", config.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address={address}"));
        Self::start(command.args(args), address, folder)
    }

    /// VictoriaMetrics, which has the same API and receives OTLP at `/opentelemetry/v1/metrics`, under the names that Prometheus would give.
    pub fn victoria_metrics() -> Self {
        Self::victoria_metrics_at(free_address())
    }

    /// An address of loopback on which nothing listens, for a server that starts later.
    pub fn free_address() -> SocketAddr {
        free_address()
    }

    /// The same at an address.
    pub fn victoria_metrics_at(address: SocketAddr) -> Self {
        Self::victoria_metrics_with(address, &[])
    }

    /// The same, and the address at which it receives behind TLS.
    pub fn victoria_metrics_behind_tls(server: &Issued) -> (Self, SocketAddr) {
        let (plain, secure) = (free_address(), free_address());
        let files = [("Cert", &server.certificate), ("Key", &server.key)];
        let files = files.map(|(kind, path)| format!("-tls{kind}File=,{}", path.display()));
        let more = [format!("-httpListenAddr={secure}"), "-tls=false,true".to_owned()].into_iter().chain(files);
        (Self::victoria_metrics_with(plain, &more.collect::<Vec<_>>()), secure)
    }

    fn victoria_metrics_with(address: SocketAddr, more: &[String]) -> Self {
        let folder = Folder::new();
        let mut command = debian::VICTORIA_METRICS.command("usr/bin/victoria-metrics");
        command.arg(format!("-storageDataPath={}", folder.path().join("data").display()));
        command.arg(format!("-httpListenAddr={address}"));
        command.args(["-opentelemetry.usePrometheusNaming", "-search.latencyOffset=0s"]).args(more);
        Self::start(&mut command, address, folder)
    }

    fn start(command: &mut Command, address: SocketAddr, folder: Folder) -> Self {
        let mut process = Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()));
        wait_until("the server to be ready", Duration::from_secs(30), || {
            assert_eq!(process.ended(), None, "the server ended");
            http::get(address, "/-/ready", &[]).ok().filter(|answer| answer.status == 200)
        });
        Self { address, _process: process, _folder: folder }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address, for a browser.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The value of a query that gives at most one number.
    pub fn query(&self, promql: &str) -> Option<f64> {
        let result = self.api(&format!("query?query={}", encode(promql)));
        let samples = result["result"].as_array().expect("a vector");
        assert!(samples.len() <= 1, "{promql}: {result}");
        samples.first()?["value"][1].as_str()?.parse().ok()
    }

    /// The `data` of a response of the HTTP API.
    pub fn api(&self, path: &str) -> Value {
        let answer = http::get(self.address, &format!("/api/v1/{path}"), &[]).expect("Prometheus answers");
        let mut json: Value = serde_json::from_str(answer.text()).expect("its API speaks JSON");
        assert_eq!(json["status"], "success", "{path}: {json}");
        json["data"].take()
    }
}

/// Runs `promtool check metrics`, which reads only text 0.0.4; returns its exit status and output.
pub fn promtool(text: &str) -> (Option<i32>, String) {
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut checking = promtool.spawn().expect("promtool starts");
    checking.stdin.take().expect("stdin is a pipe").write_all(text.as_bytes()).expect("promtool reads");
    let checked = checking.wait_with_output().expect("promtool ends");
    let said = [checked.stdout, checked.stderr].concat();
    (checked.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Another process may take the address before Prometheus does; then Prometheus exits and the test fails.
fn free_address() -> SocketAddr {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    free.expect("loopback has a free port")
}

/// Text as part of a URL's query.
pub fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
