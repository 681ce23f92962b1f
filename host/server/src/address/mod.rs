//! Where to listen: TCP addresses, Unix sockets, and sockets that systemd or another parent has opened.
//!
//! The text of the command line is parsed first ([`Address`]), then host names and service names are looked up
//! ([`Address::resolve`]), then the sockets are bound ([`bind`]). Looking up comes early, because it reads files that Landlock denies later.

mod hosts;
mod inherited;
mod listener;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    os::fd::RawFd,
    path::PathBuf,
    str::FromStr,
};

pub use inherited::from_systemd;
pub use listener::{Listener, SocketFile, bind};

use super::ServerError;
use inherited::FIRST_PASSED;

/// An address as `--web.listen-address` takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// `localhost:9435`, `[fe80::1%eth0]:http`; without a host all addresses of this machine.
    Tcp { host: Option<String>, port: Port },
    /// `unix:/run/ebhost.sock`.
    Unix(PathBuf),
    /// `fd://3`: a listening socket that the parent process left open.
    Inherited(RawFd),
    /// `fd://0`: the socket of this number among those that systemd passes.
    FromSystemd(RawFd),
}

/// A port by its number or by the name of its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Port {
    Number(u16),
    /// As in `/etc/services`.
    Service(String),
}

/// An address that can be bound without looking anything up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResolvedAddress {
    /// All addresses of this machine, of both families.
    Any(u16),
    Tcp(SocketAddr),
    Unix(PathBuf),
    Inherited(RawFd),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = |but: &str| {
            format!(
                "found `{text}`, expected an address such as :9435, 127.0.0.1:9435, localhost:9435, [::1]:9435, unix:/run/ebhost.sock \
                 or fd://3{but}"
            )
        };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') { Ok(Self::Unix(path.into())) } else { Err(expected("")) };
        }
        if let Some(number) = text.strip_prefix("fd://") {
            // The first three are the process' own, so that they are counted from the first that systemd passes.
            return match number.parse().map_err(|_| expected(""))? {
                number @ 0..FIRST_PASSED => Ok(Self::FromSystemd(number)),
                number @ FIRST_PASSED.. => Ok(Self::Inherited(number)),
                _ => Err(expected("")),
            };
        }
        let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once("]:")) {
            Some(split) => split,
            None => text.rsplit_once(':').ok_or_else(|| expected(""))?,
        };
        if host.contains(':') && !text.starts_with('[') {
            return Err(expected("; an IPv6 address is written in brackets"));
        }
        let is_host = |c: char| c.is_ascii_alphanumeric() || "._-:%".contains(c);
        if !host.chars().all(is_host) {
            return Err(expected(""));
        }
        let port = Port::parse(port).ok_or_else(|| expected(""))?;
        Ok(Self::Tcp { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }
}

impl Port {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(number) = text.parse() {
            return Some(Self::Number(number));
        }
        let is_name = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
        is_name.then(|| Self::Service(text.to_owned()))
    }

    fn number(&self) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Service(name) => service_port(&std::fs::read_to_string("/etc/services").unwrap_or_default(), name),
        }
    }
}

/// The TCP port of a service, from the text of `/etc/services`, or one of those that everybody knows.
fn service_port(services: &str, name: &str) -> Option<u16> {
    let known = [("http", 80), ("https", 443)].into_iter().find(|(known, _)| *known == name).map(|(_, port)| port);
    let in_file = services.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let service = words.next()?;
        let port = words.next()?.strip_suffix("/tcp")?.parse().ok()?;
        (service == name || words.any(|alias| alias == name)).then_some(port)
    });
    in_file.or(known)
}

impl Address {
    /// The addresses that it stands for: a host name may have several.
    ///
    /// # Errors
    /// [`ServerError::Resolve`] if the host or the service is not known.
    pub fn resolve(&self) -> Result<Vec<ResolvedAddress>, ServerError> {
        use std::net::ToSocketAddrs as _;
        let (host, port) = match self {
            Self::Unix(path) => return Ok(vec![ResolvedAddress::Unix(path.clone())]),
            Self::Inherited(number) => return Ok(vec![ResolvedAddress::Inherited(*number)]),
            Self::FromSystemd(number) => {
                return inherited::passed(*number).map(|number| vec![ResolvedAddress::Inherited(number)]);
            }
            Self::Tcp { host, port } => (host, port),
        };
        let unknown = |why: String| ServerError::Resolve { address: self.clone(), why };
        let port = port.number().ok_or_else(|| unknown("the service is not in /etc/services".to_owned()))?;
        let Some(host) = host else { return Ok(vec![ResolvedAddress::Any(port)]) };
        let is_name = !host.contains(':') && host.parse::<Ipv4Addr>().is_err();
        let mut addresses: Vec<_> = if hosts::IS_STATIC && is_name {
            let text = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
            let found = hosts::addresses(&text, host).into_iter();
            found.map(|address| ResolvedAddress::Tcp(SocketAddr::new(address, port))).collect()
        } else {
            let found = (host.as_str(), port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
            found.map(ResolvedAddress::Tcp).collect()
        };
        addresses.dedup();
        let why = if hosts::IS_STATIC { "the host is not in /etc/hosts" } else { "the host has no address" };
        if addresses.is_empty() { Err(unknown(why.to_owned())) } else { Ok(addresses) }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => {
                let host = host.as_deref().unwrap_or_default();
                if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(number) | Self::FromSystemd(number) => write!(f, "fd://{number}"),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Service(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for ResolvedAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any(port) => write!(f, ":{port}"),
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Inherited(number) => write!(f, "fd://{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Address, String> {
        text.parse()
    }

    fn tcp(host: &str, port: Port) -> Result<Address, String> {
        Ok(Address::Tcp { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }

    /// Host names, service names and zones were refused.
    #[test]
    fn addresses_of_every_kind() {
        assert_eq!(read(":9435"), tcp("", Port::Number(9435)));
        assert_eq!(read("127.0.0.1:0"), tcp("127.0.0.1", Port::Number(0)));
        assert_eq!(read("localhost:9435"), tcp("localhost", Port::Number(9435)));
        assert_eq!(read("[fe80::1%eth0]:9435"), tcp("fe80::1%eth0", Port::Number(9435)));
        assert_eq!(read(":http"), tcp("", Port::Service("http".into())));
        assert_eq!(read("unix:/run/x.sock"), Ok(Address::Unix("/run/x.sock".into())));
        assert_eq!(read("fd://3"), Ok(Address::Inherited(3)));
        assert_eq!(read("fd://0"), Ok(Address::FromSystemd(0)), "as ebpf_exporter counts them");
        for text in [":9435", "localhost:http", "[fe80::1%eth0]:9435", "unix:/run/x.sock", "fd://3", "fd://0"] {
            assert_eq!(read(text).map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["9435", "unix:x.sock", "fd://x", "fd://-1", ":99999", "", "a b:1", "x:", "http://x:1"] {
            let message = read(wrong).unwrap_err();
            assert!(message.starts_with(&format!("found `{wrong}`, expected an address")), "{message}");
        }
        assert!(read("::1:9435").unwrap_err().ends_with("an IPv6 address is written in brackets"));
    }

    #[test]
    fn names_are_looked_up() {
        let resolve = |text: &str| read(text).unwrap().resolve();
        assert_eq!(resolve(":9435").unwrap(), [ResolvedAddress::Any(9435)]);
        assert_eq!(resolve("[::1]:http").unwrap(), [ResolvedAddress::Tcp("[::1]:80".parse().unwrap())]);
        let local = resolve("localhost:9435").unwrap();
        assert!(local.contains(&ResolvedAddress::Tcp("127.0.0.1:9435".parse().unwrap())), "{local:?}");
        let zone = resolve("[fe80::1%lo]:9435").unwrap();
        assert!(
            matches!(&zone[..], [ResolvedAddress::Tcp(SocketAddr::V6(address))] if address.scope_id() > 0),
            "{zone:?}"
        );
        for unknown in ["no-such-host.invalid:9435", ":no-such-service", "[fe80::1%nothing0]:9435"] {
            let message = resolve(unknown).unwrap_err().to_string();
            assert!(message.starts_with(&format!("cannot listen on {unknown}: ")), "{message}");
        }
        assert_eq!(service_port("# x\nssh 22/tcp\nipp 631/udp\nipp 631/tcp printer # cups\n", "printer"), Some(631));
    }

    /// systemd passes them by the environment, which belongs to a whole process: this test runs itself again in another one.
    #[test]
    fn sockets_of_systemd_are_counted_from_the_first_that_it_passes() {
        if std::env::var("LISTEN_FDS").is_err() {
            let name = "address::tests::sockets_of_systemd_are_counted_from_the_first_that_it_passes";
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            let again = again.args(["--exact", name]).env("LISTEN_FDS", "2").env_remove("LISTEN_PID").output().unwrap();
            let text = String::from_utf8_lossy(&again.stdout);
            assert!(again.status.success() && text.contains("1 passed"), "{text}");
            return;
        }
        assert_eq!(from_systemd().unwrap(), [Address::Inherited(3), Address::Inherited(4)]);
        let resolve = |text: &str| read(text).unwrap().resolve();
        assert_eq!(resolve("fd://0").unwrap(), [ResolvedAddress::Inherited(3)]);
        assert_eq!(resolve("fd://1").unwrap(), [ResolvedAddress::Inherited(4)]);
        let message = resolve("fd://2").unwrap_err().to_string();
        assert!(message.starts_with("cannot listen on fd://2: found no such socket from systemd"), "{message}");
    }
}
