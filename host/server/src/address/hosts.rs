//! Host names in a static ebhost.
//!
//! Static glibc looks names up with libraries of the machine that it runs on, if the machine's nsswitch.conf names more than `files` and `dns`: libraries of
//! another version, or none. So a static ebhost reads /etc/hosts itself. What it may listen on is an address of this machine, which is there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether this program is static.
pub(super) const IS_STATIC: bool = cfg!(target_feature = "crt-static");

/// The addresses of a host, from the text of `/etc/hosts`; `localhost` has some without it.
pub(super) fn addresses(hosts: &str, name: &str) -> Vec<IpAddr> {
    let of_line = |line: &str| {
        let mut words = line.split('#').next()?.split_whitespace();
        let address = words.next()?.parse().ok()?;
        words.any(|host| host.eq_ignore_ascii_case(name)).then_some(address)
    };
    let mut found: Vec<IpAddr> = hosts.lines().filter_map(of_line).collect();
    if found.is_empty() && name.eq_ignore_ascii_case("localhost") {
        found = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_aliases_have_the_addresses_of_their_lines() {
        let hosts =
            "# comment\n127.0.0.1 localhost\n::1\tlocalhost ip6-localhost # both\n10.0.0.7  db.example Db\nwrong db\n";
        let found = |name: &str| addresses(hosts, name).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!((found("db"), found("ip6-localhost")), (vec!["10.0.0.7".to_owned()], vec!["::1".to_owned()]));
        assert!(found("comment").is_empty() && found("10.0.0.7").is_empty());
        assert_eq!(addresses("", "LOCALHOST").len(), 2, "in an image without /etc/hosts");
    }
}
