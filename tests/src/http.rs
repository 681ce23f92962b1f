//! An HTTP/1.1 client: one request on each connection, or many on a kept one.

use std::{
    collections::BTreeMap,
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// How long a host may take to accept a connection. The machine may be busy.
const ACCEPTED: Duration = Duration::from_secs(60);

/// How long a host may be silent before the rest of its answer.
pub const SILENT: Duration = Duration::from_secs(60);

/// How long a scrape may take where a test asserts that it waits for nobody else: as long as Prometheus waits by default. It takes milliseconds on a
/// machine that has nothing else to do.
pub const SCRAPED: Duration = Duration::from_secs(10);

/// A complete response.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// The headers, by name in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    /// Reads a response from a connection on which a request was sent.
    pub fn read(connection: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        connection.set_read_timeout(Some(SILENT))?;
        connection.read_to_end(&mut bytes)?;
        parse(&bytes).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body is UTF-8")
    }
}

/// A connection that is kept between requests, as a scraper keeps it.
#[derive(Debug)]
pub struct Kept {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
}

impl Kept {
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, ACCEPTED)?;
        stream.set_read_timeout(Some(SILENT))?;
        Ok(Self { address, stream: BufReader::new(stream) })
    }

    /// Sends `GET path` and reads the response. The connection stays open.
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
        let request = request(self.address, path, headers).replace("Connection: close\r\n", "");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            self.line(&mut bytes)?;
        }
        let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if head.contains("\r\ntransfer-encoding: chunked\r\n") {
            while !bytes.ends_with(b"\r\n0\r\n\r\n") {
                let start = bytes.len();
                self.line(&mut bytes)?;
                let size = std::str::from_utf8(&bytes[start..]).ok().map(str::trim);
                let size =
                    size.and_then(|size| u64::from_str_radix(size, 16).ok()).ok_or(io::ErrorKind::InvalidData)?;
                self.stream.by_ref().take(size + 2).read_to_end(&mut bytes)?;
            }
        } else {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            self.stream.by_ref().take(length.unwrap_or(0)).read_to_end(&mut bytes)?;
        }
        parse(&bytes).map_err(|why| io::Error::new(io::ErrorKind::InvalidData, why))
    }

    fn line(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        if self.stream.read_until(b'\n', bytes)? == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

/// Sends `GET path` and reads the response; then the connection is closed.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    let mut connection = TcpStream::connect_timeout(&address, ACCEPTED)?;
    connection.write_all(request(address, path, headers).as_bytes())?;
    Response::read(&mut connection)
}

pub(crate) fn request(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> String {
    let more: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{more}\r\n")
}

fn parse(bytes: &[u8]) -> Result<Response, String> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").ok_or("has no end of its header")?;
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "has a header that is not UTF-8")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
    let status = status.ok_or("has no status line")?;
    let fields = lines.map(|line| line.split_once(':').ok_or_else(|| format!("has the header line `{line}`")));
    let headers = fields
        .map(|field| field.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())))
        .collect::<Result<BTreeMap<_, _>, _>>()?;
    let rest = &bytes[end + 4..];
    let body = if headers.get("transfer-encoding").is_some_and(|encoding| encoding == "chunked") {
        unchunk(rest)?
    } else {
        let length = headers.get("content-length").and_then(|length| length.parse().ok());
        if length.is_some_and(|length: usize| length != rest.len()) {
            return Err(format!("says {length:?} bytes, has {}", rest.len()));
        }
        rest.to_vec()
    };
    Ok(Response { status, headers, body })
}

fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").ok_or("is cut short before a chunk")?;
        let size = std::str::from_utf8(&rest[..end]).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or("has a chunk without a size")?;
        let chunk = rest.get(end + 2..end + 2 + size).ok_or("is cut short in a chunk")?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(chunk);
        rest = rest.get(end + 4 + size..).ok_or("is cut short after a chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_truncated_response_is_an_error() {
        let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: b\r\n\r\nhi";
        let response = parse(whole).unwrap();
        assert_eq!((response.status, response.header("a"), response.text()), (200, "b", "hi"));
        assert!(parse(&whole[..whole.len() - 1]).unwrap_err().contains("has 1"));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(parse(chunked).unwrap().text(), "abcd");
        assert!(parse(&chunked[..chunked.len() - 9]).is_err());
    }
}
