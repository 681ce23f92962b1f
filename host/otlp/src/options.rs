//! The options: flags of the command line, and the environment variables that every OpenTelemetry exporter has.
//!
//! A flag takes precedence over a variable, and a variable for one signal (metrics or traces) over the one for all.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

/// Why the options cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: found `{found}`, expected {expected}")]
pub struct OptionError {
    /// The flag or the variable.
    name: String,
    found: String,
    expected: &'static str,
}

/// Flags of the command line.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// URL of the receiver, with or without a path.
    pub endpoint: Option<String>,
    pub interval: Option<Duration>,
}

/// The signal that is pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    Metrics,
    Traces,
}

impl Signal {
    /// The signal in the names of variables.
    fn variable(self) -> &'static str {
        match self {
            Self::Metrics => "METRICS",
            Self::Traces => "TRACES",
        }
    }

    /// The path that a receiver has by the protocol.
    fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Traces => "/v1/traces",
        }
    }

    /// The variable of the interval between pushes, and what it is without one.
    fn interval(self) -> (&'static str, Duration) {
        match self {
            Self::Metrics => ("OTEL_METRIC_EXPORT_INTERVAL", Duration::from_secs(60)),
            Self::Traces => ("OTEL_BSP_SCHEDULE_DELAY", Duration::from_secs(5)),
        }
    }
}

/// A receiver of one signal and how it is pushed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpOptions {
    pub endpoint: Endpoint,
    pub interval: Duration,
    /// Time that one request may take.
    pub timeout: Duration,
    pub(crate) compression: Compression,
    /// Request headers, such as an authorization.
    pub(crate) headers: Vec<(String, String)>,
    /// Attributes of the resource beside those that are found.
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) tls: Tls,
}

/// The URL that requests are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
    /// The TCP port that is connected to.
    pub port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
}

/// Files in PEM format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Authorities to trust, in the place of the system's.
    pub(crate) authorities: Option<PathBuf>,
    /// The client's certificate and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

const URL: &str = "http://HOST:PORT or https://HOST:PORT, such as http://localhost:4318";
const TIMEOUT: Duration = Duration::from_secs(10);

impl OtlpOptions {
    /// None: neither a flag nor a variable names a receiver of this signal.
    ///
    /// # Errors
    /// A value that cannot be used, with the name of its flag or variable.
    pub fn read(
        signal: Signal,
        flags: &Flags,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, OptionError> {
        let find = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let variables = Variables { find, signal };
        if variables.get("OTEL_SDK_DISABLED").is_some_and(|(_, value)| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let Some(endpoint) = endpoint(flags, &variables)? else { return Ok(None) };
        if let Some((name, protocol)) = variables.of_signal("PROTOCOL").filter(|(_, value)| value != "http/protobuf") {
            let expected = "`http/protobuf`, which receivers take on port 4318";
            return Err(OptionError { name, found: protocol, expected });
        }
        Ok(Some(Self {
            endpoint,
            interval: interval(signal, flags, &variables)?,
            timeout: milliseconds(variables.of_signal("TIMEOUT"))?.unwrap_or(TIMEOUT),
            compression: compression(variables.of_signal("COMPRESSION"))?,
            headers: pairs(variables.of_signal("HEADERS"))?,
            resource: attributes(&variables)?,
            tls: tls(&variables)?,
        }))
    }
}

impl Endpoint {
    fn parse(name: &str, url: &str) -> Result<Self, OptionError> {
        let error = || OptionError { name: name.to_owned(), found: url.to_owned(), expected: URL };
        let (default_port, rest) = match url.split_once("://") {
            Some(("http", rest)) => (80, rest),
            Some(("https", rest)) => (443, rest),
            _ => return Err(error()),
        };
        let authority = rest.split('/').next().unwrap_or_default();
        let host_and_port = authority.rsplit('@').next().unwrap_or_default();
        // The colons of an IPv6 address are in brackets.
        let (host, port) = match host_and_port.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| error())?),
            _ => (host_and_port, default_port),
        };
        if host.is_empty() || port == 0 || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(error());
        }
        Ok(Self { url: url.trim_end_matches('/').to_owned(), port })
    }

    fn has_path(&self) -> bool {
        self.url.split_once("://").is_some_and(|(_, rest)| rest.contains('/'))
    }

    fn with_path(self, path: &str) -> Self {
        Self { url: format!("{}{path}", self.url), ..self }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Without user and password.
impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        write!(formatter, "{scheme}://{host}{path}")
    }
}

/// The environment, in which an empty value is as good as none.
struct Variables<F> {
    find: F,
    signal: Signal,
}

impl<F: Fn(&str) -> Option<String>> Variables<F> {
    /// A variable's name and value.
    fn get(&self, name: &str) -> Option<(String, String)> {
        (self.find)(name).map(|value| (name.to_owned(), value.trim().to_owned()))
    }

    /// The variable for the signal, or the one for all.
    fn of_signal(&self, suffix: &str) -> Option<(String, String)> {
        let own = self.get(&format!("OTEL_EXPORTER_OTLP_{}_{suffix}", self.signal.variable()));
        own.or_else(|| self.get(&format!("OTEL_EXPORTER_OTLP_{suffix}")))
    }
}

fn endpoint<F: Fn(&str) -> Option<String>>(
    flags: &Flags,
    variables: &Variables<F>,
) -> Result<Option<Endpoint>, OptionError> {
    let (signal, path) = (variables.signal, variables.signal.path());
    if let Some(url) = &flags.endpoint {
        let endpoint = Endpoint::parse("--otlp.endpoint", url)?;
        match (endpoint.has_path(), signal) {
            (false, _) => return Ok(Some(endpoint.with_path(path))),
            (true, Signal::Metrics) => return Ok(Some(endpoint)),
            // The path is that of metrics; a variable may name a receiver of traces.
            (true, Signal::Traces) => {}
        }
    }
    if let Some((name, url)) = variables.get(&format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", signal.variable())) {
        return Endpoint::parse(&name, &url).map(Some);
    }
    let Some((name, url)) = variables.get("OTEL_EXPORTER_OTLP_ENDPOINT") else { return Ok(None) };
    // A base URL, to which the protocol's path is always added.
    Ok(Some(Endpoint::parse(&name, &url)?.with_path(path)))
}

fn interval<F: Fn(&str) -> Option<String>>(
    signal: Signal,
    flags: &Flags,
    variables: &Variables<F>,
) -> Result<Duration, OptionError> {
    let (variable, default) = signal.interval();
    match flags.interval.filter(|_| signal == Signal::Metrics) {
        Some(interval) => Ok(interval),
        None => Ok(milliseconds(variables.get(variable))?.unwrap_or(default)),
    }
}

fn milliseconds(variable: Option<(String, String)>) -> Result<Option<Duration>, OptionError> {
    let Some((name, found)) = variable else { return Ok(None) };
    match found.parse() {
        Ok(milliseconds @ 1..) => Ok(Some(Duration::from_millis(milliseconds))),
        _ => Err(OptionError { name, found, expected: "milliseconds, at least 1" }),
    }
}

fn compression(variable: Option<(String, String)>) -> Result<Compression, OptionError> {
    match variable {
        None => Ok(Compression::Gzip),
        Some((_, value)) if value == "gzip" => Ok(Compression::Gzip),
        Some((_, value)) if value == "none" => Ok(Compression::None),
        Some((name, found)) => Err(OptionError { name, found, expected: "`gzip` or `none`" }),
    }
}

fn tls<F: Fn(&str) -> Option<String>>(variables: &Variables<F>) -> Result<Tls, OptionError> {
    let authorities = variables.of_signal("CERTIFICATE").map(|(_, path)| path.into());
    let client = match (variables.of_signal("CLIENT_CERTIFICATE"), variables.of_signal("CLIENT_KEY")) {
        (Some((_, certificate)), Some((_, key))) => Some((certificate.into(), key.into())),
        (None, None) => None,
        (Some((name, found)), None) => {
            return Err(OptionError { name, found, expected: "OTEL_EXPORTER_OTLP_CLIENT_KEY beside it" });
        }
        (None, Some((name, found))) => {
            return Err(OptionError { name, found, expected: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE beside it" });
        }
    };
    Ok(Tls { authorities, client })
}

/// Attributes of the resource; `OTEL_SERVICE_NAME` takes precedence.
fn attributes<F: Fn(&str) -> Option<String>>(
    variables: &Variables<F>,
) -> Result<BTreeMap<String, String>, OptionError> {
    let mut attributes: BTreeMap<_, _> = pairs(variables.get("OTEL_RESOURCE_ATTRIBUTES"))?.into_iter().collect();
    if let Some((_, name)) = variables.get("OTEL_SERVICE_NAME") {
        attributes.insert("service.name".to_owned(), name);
    }
    Ok(attributes)
}

/// `key=value,key=value`, with `%XX` for what has a meaning there.
fn pairs(variable: Option<(String, String)>) -> Result<Vec<(String, String)>, OptionError> {
    let Some((name, text)) = variable else { return Ok(Vec::new()) };
    let pair = |pair: &str| {
        let (key, value) = pair.split_once('=').filter(|(key, _)| !key.trim().is_empty())?;
        Some((key.trim().to_owned(), unescaped(value.trim())?))
    };
    let pairs: Option<_> = text.split(',').filter(|part| !part.trim().is_empty()).map(pair).collect();
    // The text may have a password in it.
    pairs.ok_or(OptionError {
        name,
        found: "…".to_owned(),
        expected: "KEY=VALUE,KEY=VALUE, with %XX for special bytes",
    })
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(flags: &Flags, variables: &[(&str, &str)]) -> Result<Option<OtlpOptions>, String> {
        let find =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        OtlpOptions::read(Signal::Metrics, flags, find).map_err(|error| error.to_string())
    }

    #[test]
    fn traces_have_variables_and_a_path_of_their_own() {
        let read = |flags: &Flags, variables: &[(&str, &str)]| {
            let find =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
            OtlpOptions::read(Signal::Traces, flags, find).unwrap()
        };
        let url = |flags: &Flags, variables: &[(&str, &str)]| Some(read(flags, variables)?.endpoint.url().to_owned());
        let (all, traces) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let none = Flags::default();
        assert_eq!(url(&flag("http://a:4318"), &[]).as_deref(), Some("http://a:4318/v1/traces"));
        assert_eq!(url(&flag("http://a:1/v1/metrics"), &[]), None, "that is a receiver of metrics");
        assert_eq!(url(&flag("http://a:1/x"), &[(traces, "http://b:2/t")]).as_deref(), Some("http://b:2/t"));
        assert_eq!(url(&none, &[(all, "http://b:2")]).as_deref(), Some("http://b:2/v1/traces"));
        assert_eq!(url(&none, &[(all, "http://b:2"), (traces, "http://c/t")]).as_deref(), Some("http://c/t"));
        assert_eq!(url(&none, &[("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c")]), None);
        let options = read(
            &Flags { interval: Some(Duration::from_secs(9)), ..flag("http://a:4318") },
            &[("OTEL_BSP_SCHEDULE_DELAY", "700"), ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "250")],
        );
        let options = options.unwrap();
        assert_eq!((options.interval, options.timeout), (Duration::from_millis(700), Duration::from_millis(250)));
    }

    fn flag(url: &str) -> Flags {
        Flags { endpoint: Some(url.to_owned()), interval: None }
    }

    #[test]
    fn without_a_receiver_nothing_is_pushed() {
        assert_eq!(read(&Flags::default(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "x")]), Ok(None));
        assert_eq!(read(&flag("http://a:1"), &[("OTEL_SDK_DISABLED", "true")]), Ok(None));
    }

    #[test]
    fn the_receivers_path_depends_on_what_names_it() {
        let url = |flags: &Flags, variables: &[(&str, &str)]| {
            let endpoint = read(flags, variables).unwrap().unwrap().endpoint;
            (endpoint.url().to_owned(), endpoint.port)
        };
        let none = Flags::default();
        let (all, metrics) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT");
        for (found, expected) in [
            (url(&flag("http://localhost:4318"), &[]), ("http://localhost:4318/v1/metrics", 4318)),
            (url(&flag("http://p:9090/api/v1/otlp/v1/metrics"), &[]), ("http://p:9090/api/v1/otlp/v1/metrics", 9090)),
            (url(&flag("https://[::1]"), &[(all, "http://b:2")]), ("https://[::1]/v1/metrics", 443)),
            (url(&none, &[(all, "http://b:2/otlp/")]), ("http://b:2/otlp/v1/metrics", 2)),
            (url(&none, &[(all, "http://b:2"), (metrics, "http://c/x")]), ("http://c/x", 80)),
        ] {
            assert_eq!((found.0.as_str(), found.1), expected);
        }
    }

    #[test]
    fn variables_for_metrics_take_precedence_and_are_unescaped() {
        let options = read(
            &Flags { interval: Some(Duration::from_secs(5)), ..flag("https://user:secret@host:4318") },
            &[
                ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
                ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "Authorization=Bearer%20x, b = 2"),
                ("OTEL_METRIC_EXPORT_INTERVAL", "1000"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
                ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
                ("OTEL_RESOURCE_ATTRIBUTES", "service.name=x,rack=r%2C1"),
                ("OTEL_SERVICE_NAME", "y"),
            ],
        );
        let options = options.unwrap().unwrap();
        let pairs = [("Authorization", "Bearer x"), ("b", "2")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(options.headers, pairs);
        assert_eq!((options.interval, options.timeout), (Duration::from_secs(5), Duration::from_millis(250)));
        assert_eq!(options.compression, Compression::None);
        assert_eq!((options.resource["service.name"].as_str(), options.resource["rack"].as_str()), ("y", "r,1"));
        assert_eq!(options.endpoint.to_string(), "https://host:4318/v1/metrics", "no password is shown");
    }

    #[test]
    fn a_wrong_value_is_named_with_what_was_expected() {
        for (flags, variable, says) in [
            (flag("localhost:4318"), ("", ""), "--otlp.endpoint: found `localhost:4318`, expected http://HOST:PORT"),
            (flag("http://a:99999"), ("", ""), "--otlp.endpoint: found `http://a:99999`"),
            (flag("http://:1"), ("", ""), "--otlp.endpoint: found `http://:1`"),
            (
                Flags::default(),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "grpc://a"),
                "OTEL_EXPORTER_OTLP_ENDPOINT: found `grpc://a`",
            ),
            (flag("http://a"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"), "found `grpc`, expected `http/protobuf`"),
            (flag("http://a"), ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "0"), "found `0`, expected milliseconds"),
            (flag("http://a"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"), "found `zstd`, expected `gzip` or `none`"),
            (flag("http://a"), ("OTEL_EXPORTER_OTLP_HEADERS", "secret"), "HEADERS: found `…`, expected KEY=VALUE"),
            (
                flag("http://a"),
                ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "k"),
                "expected OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
            ),
        ] {
            let error = read(&flags, &[variable]).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
    }
}
