//! The address of a host: `http://`, `https://` or `unix:`.

use std::{path::PathBuf, str::FromStr};

/// The port that a host listens on if nothing else is said.
const PORT: u16 = 9435;

/// Where a host is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostAddress {
    Tcp {
        /// A name, or an address without brackets.
        host: String,
        port: u16,
        scheme: Scheme,
        /// The prefix that a reverse proxy puts before every path; empty, or with a `/` at its beginning alone.
        prefix: String,
    },
    /// A unix socket.
    Unix(PathBuf),
}

/// The protocol below HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl HostAddress {
    /// The value of the header `Host`.
    pub(super) fn authority(&self) -> String {
        match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
        }
    }

    /// The path to ask for.
    pub(super) fn path(&self, path: &str) -> String {
        match self {
            Self::Unix(_) => path.to_owned(),
            Self::Tcp { prefix, .. } => format!("{prefix}{path}"),
        }
    }
}

impl FromStr for HostAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "found `{text}`, expected an address such as http://localhost:9435, https://example.org/ebhost or unix:/run/ebhost.sock"
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(wrong()) };
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(_) => return Err(wrong()),
            None => (Scheme::Http, text),
        };
        let (authority, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(format!("{}; a user is given by --user", wrong()));
        }
        let (host, port) = split_port(authority).ok_or_else(wrong)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:%".contains(c);
        if host.is_empty() || !host.chars().all(is_plain) || prefix.contains(['?', '#', ' ']) {
            return Err(wrong());
        }
        let port = match (port, text.contains("://"), scheme) {
            (Some(port), _, _) => port.parse().map_err(|_| wrong())?,
            // A proxy in front of the host listens on the port of HTTPS.
            (None, true, Scheme::Https) => 443,
            (None, _, _) => PORT,
        };
        Ok(Self::Tcp { host: host.to_owned(), port, scheme, prefix: prefix.trim_end_matches('/').to_owned() })
    }
}

/// Host and port of `host:port`, `[::1]:port` or either without a port.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        return if after.is_empty() { Some((host, None)) } else { Some((host, Some(after.strip_prefix(':')?))) };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => Some((authority, None)),
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_scheme_a_host_a_port_and_a_prefix() {
        let parse = |text: &str| text.parse::<HostAddress>();
        for (text, authority, path) in [
            ("http://localhost:9435", "localhost:9435", "/status.json"),
            ("localhost", "localhost:9435", "/status.json"),
            ("10.0.0.1:80/", "10.0.0.1:80", "/status.json"),
            ("https://example.org/nodes/a/", "example.org:443", "/nodes/a/status.json"),
            ("http://[::1]:1", "[::1]:1", "/status.json"),
            ("::1", "[::1]:9435", "/status.json"),
            ("unix:/run/ebhost.sock", "localhost", "/status.json"),
        ] {
            let address = parse(text).unwrap();
            assert_eq!((address.authority().as_str(), address.path("/status.json").as_str()), (authority, path));
        }
        for wrong in ["ftp://x", "http://", "unix:run", "http://a b", "http://h:port", "http://u:p@h", "http://h/?q"] {
            assert!(parse(wrong).is_err_and(|why| why.contains("expected an address such as")), "{wrong}");
        }
    }
}
