//! HTTP to one host: a request, and its whole answer.
//!
//! Requests are of HTTP/1.0: one a connection, whose end is the end of the answer, so nothing of an answer needs decoding.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs as _},
    os::unix::net::UnixStream,
    sync::Arc,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::address::{HostAddress, Scheme};
use ebhost_limits as limits;

/// A connection to a host, plain or encrypted.
trait Connection: Read + Write {}

impl<T: Read + Write> Connection for T {}

/// Why a host gave no answer that can be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{host} cannot be reached: {source}; does ebhost run there, and listen on this address?")]
    Unreachable { host: String, source: io::Error },
    #[error("{host}: {source}")]
    Broken { host: String, source: io::Error },
    #[error(
        "{host} asks for a user: --user NAME, with the password in $EBHOST_PASSWORD or --password-file, as its --web.config.file has it"
    )]
    NoUser { host: String },
    #[error("{host}{path}: found status {status}{said}")]
    Refused { host: String, path: String, status: u16, said: String },
    #[error("{host}{path}: found {why}, expected the answer of ebhost")]
    Strange { host: String, path: String, why: String },
}

/// A client of one host.
pub(super) struct Client {
    address: HostAddress,
    tls: Arc<ClientConfig>,
    /// The value of the header `Authorization`.
    authorization: Option<String>,
}

impl Client {
    pub(super) fn new(address: HostAddress, tls: Arc<ClientConfig>, authorization: Option<String>) -> Self {
        Self { address, tls, authorization }
    }

    /// The host's name and port, for messages.
    pub(super) fn host(&self) -> String {
        match &self.address {
            HostAddress::Unix(path) => path.display().to_string(),
            HostAddress::Tcp { .. } => self.address.authority(),
        }
    }

    /// The body of a path.
    ///
    /// # Errors
    /// The host cannot be reached, does not answer in time, or answers with another status than 200.
    pub(super) fn get(&self, path: &str, accept: &str) -> Result<Vec<u8>, FetchError> {
        let mut connection = self.connect().map_err(|source| FetchError::Unreachable { host: self.host(), source })?;
        let path = self.address.path(path);
        let answer = self.exchange(&mut *connection, &path, accept);
        let answer = answer.map_err(|source| FetchError::Broken { host: self.host(), source })?;
        self.body(&path, answer)
    }

    fn connect(&self) -> io::Result<Box<dyn Connection>> {
        let (host, port, scheme) = match &self.address {
            HostAddress::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(limits::TOP_ANSWER))?;
                return Ok(Box::new(stream));
            }
            HostAddress::Tcp { host, port, scheme, .. } => (host, *port, *scheme),
        };
        let mut last = io::Error::other("the name has no address");
        for address in (host.as_str(), port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, limits::TOP_CONNECT) {
                Ok(stream) => {
                    stream.set_read_timeout(Some(limits::TOP_ANSWER))?;
                    stream.set_write_timeout(Some(limits::TOP_ANSWER))?;
                    return match scheme {
                        Scheme::Http => Ok(Box::new(stream)),
                        Scheme::Https => Ok(Box::new(self.encrypted(host, stream)?)),
                    };
                }
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn encrypted(&self, host: &str, stream: TcpStream) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connection = ClientConnection::new(self.tls.clone(), name).map_err(io::Error::other)?;
        Ok(StreamOwned::new(connection, stream))
    }

    fn exchange(&self, connection: &mut dyn Connection, path: &str, accept: &str) -> io::Result<Vec<u8>> {
        let user = self.authorization.as_ref().map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
        let request = format!(
            "GET {path} HTTP/1.0\r\nHost: {}\r\nUser-Agent: ebhost-top/{}\r\nAccept: {accept}\r\n{user}\r\n",
            self.address.authority(),
            env!("CARGO_PKG_VERSION")
        );
        connection.write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        match connection.take(limits::TOP_ANSWER_BYTES).read_to_end(&mut answer) {
            // A peer that ends TLS without saying so; `body` knows the length.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let seconds = limits::TOP_ANSWER.as_secs();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("no answer within {seconds} s: it is stopped, or busy"),
                ));
            }
            read => drop(read?),
        }
        Ok(answer)
    }

    /// The body of an answer whose status is 200.
    fn body(&self, path: &str, mut answer: Vec<u8>) -> Result<Vec<u8>, FetchError> {
        let (host, path) = (self.host(), path.to_owned());
        let Some(head) = Head::parse(&answer) else {
            let why = if answer.is_empty() { "a closed connection" } else { "something else than HTTP" };
            let why = format!("{why} (with TLS, the address begins with https://)");
            return Err(FetchError::Strange { host, path, why });
        };
        let body = answer.split_off(head.length);
        match head.status {
            200 if head.body_length.is_none_or(|length| length == body.len() as u64) => Ok(body),
            200 => {
                let why = format!("{} bytes of {}", body.len(), head.body_length.unwrap_or_default());
                Err(FetchError::Strange { host, path, why })
            }
            401 => Err(FetchError::NoUser { host }),
            status => {
                let said = String::from_utf8_lossy(&body);
                let said = said.lines().next().filter(|line| !line.starts_with('<')).unwrap_or_default();
                let said = said.chars().filter(|c| !c.is_control()).take(200).collect::<String>();
                let said = if said.is_empty() { said } else { format!(": {said}") };
                Err(FetchError::Refused { host, path, status, said })
            }
        }
    }
}

/// The head of an answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    /// Bytes of the head, the empty line included.
    length: usize,
    status: u16,
    body_length: Option<u64>,
}

impl Head {
    fn parse(answer: &[u8]) -> Option<Self> {
        const END: &[u8] = b"\r\n\r\n";
        let length = answer.windows(END.len()).position(|window| window == END)? + END.len();
        let head = std::str::from_utf8(&answer[..length]).ok()?;
        let mut lines = head.lines();
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let length_of = |line: &str| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
        };
        Some(Self { length, status, body_length: lines.find_map(length_of) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_head_of_an_answer_ends_at_the_empty_line() {
        let answer = b"HTTP/1.0 200 OK\r\ncontent-LENGTH: 2\r\n\r\n{}";
        assert_eq!(Head::parse(answer), Some(Head { length: answer.len() - 2, status: 200, body_length: Some(2) }));
        assert_eq!(Head::parse(b"HTTP/1.1 503\r\n\r\n").map(|head| head.status), Some(503));
        for wrong in [&b""[..], b"\x15\x03\x01", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 200 OK\r\n"] {
            assert_eq!(Head::parse(wrong), None);
        }
    }
}
