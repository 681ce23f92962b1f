//! Every key of the exporter toolkit's web configuration has the effect that the toolkit documents, or is refused with a reason.

use std::{fs, time::Duration};

use ebhost_tests::{Ebhost, Folder, Start, committed, needs, wait_until};

use crate::{
    access::{HASH, read_again, write},
    certificates::{certificates, handshake},
    curl, status,
};

const SERVER: &str = "cert_file: server.pem, key_file: server.key";

struct Served {
    host: Ebhost,
    folder: Folder,
    url: String,
}

impl Served {
    fn start(folder: Folder, text: &str) -> Self {
        let file = write(&folder, text);
        let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
        let url = format!("https://{}/-/healthy", host.address());
        Self { host, folder, url }
    }

    fn tls(keys: &str) -> Self {
        Self::start(certificates(), &format!("tls_server_config: {{ {SERVER}, {keys} }}\n"))
    }

    /// Takes another configuration.
    fn change(&self, keys: &str) {
        write(&self.folder, &format!("tls_server_config: {{ {SERVER}, {keys} }}\n"));
        read_again(&self.host);
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The status that curl gets with these arguments.
    fn status(&self, args: &[&str]) -> u16 {
        status(&[&["--cacert", &self.at("ca.pem"), &self.url], args].concat())
    }

    /// The status for a client with a certificate.
    fn status_of(&self, name: &str) -> u16 {
        self.status(&["--cert", &self.at(&format!("{name}.pem")), "--key", &self.at(&format!("{name}.key"))])
    }

    fn handshake(&self, args: &str) -> String {
        handshake(&self.host.address().to_string(), args)
    }

    fn warned(&self, text: &str) {
        let log = self.host.log();
        let is_warned = || log.lines().iter().any(|line| line.level == "WARN" && line.text.contains(text));
        wait_until(text, Duration::from_secs(10), || is_warned().then_some(()));
    }
}

/// The message with which the host refuses to start.
fn refusal(folder: &Folder, text: &str) -> String {
    let file = write(folder, text);
    let ended = Start::with(&committed()).args(&["--web.config.file", &file]).ended();
    assert_eq!(ended.status.code(), Some(1), "{text}: {}", ended.log.text());
    ended.log.text()
}

#[test]
fn versions_of_tls() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let served = Served::tls("min_version: TLS13");
    let both = |served: &Served| {
        (served.status(&["--tlsv1.2", "--tls-max", "1.2"]), served.status(&["--tlsv1.3", "--tls-max", "1.3"]))
    };
    assert_eq!(both(&served), (0, 200), "min_version: TLS13");
    served.change("max_version: TLS12");
    assert_eq!(both(&served), (200, 0), "max_version: TLS12");
    served.change("min_version: TLS10");
    assert_eq!(both(&served), (200, 200), "as strict as can be done");
    served.warned("min_version is TLS10");
    served.host.terminate();
    served.host.wait();
    let message = refusal(&served.folder, &format!("tls_server_config: {{ {SERVER}, max_version: TLS11 }}\n"));
    assert!(message.contains("nothing older is spoken"), "{message}");
}

/// A list of suites for TLS 1.2 switched TLS 1.3 off.
#[test]
fn cipher_suites_are_those_of_tls_1_2_and_their_order_is_the_servers() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let (aes, chacha) = ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256");
    let served = Served::tls(&format!("cipher_suites: [{chacha}, {aes}, TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA]"));
    served.warned("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA is left out");
    assert_eq!(served.status(&["--tlsv1.3"]), 200, "TLS 1.3 is not touched");
    let chosen = |served: &Served, offered: &str| served.handshake(&format!("-tls1_2 -cipher {offered}"));
    let (openssl_aes, openssl_chacha) = ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-CHACHA20-POLY1305");
    let preferred = chosen(&served, &format!("{openssl_aes}:{openssl_chacha}"));
    assert!(preferred.contains(&format!("Cipher is {openssl_chacha}")), "the server's order: {preferred}");
    let other = chosen(&served, "ECDHE-ECDSA-AES256-GCM-SHA384");
    assert!(other.contains("handshake failure"), "not on the list: {other}");
    served.change(&format!("cipher_suites: [{chacha}, {aes}], prefer_server_cipher_suites: no"));
    let preferred = chosen(&served, &format!("{openssl_aes}:{openssl_chacha}"));
    assert!(preferred.contains(&format!("Cipher is {openssl_aes}")), "the client's order: {preferred}");
    served.host.stop();
    let message = refusal(&served.folder, &format!("tls_server_config: {{ {SERVER}, cipher_suites: [TLS_NONE] }}\n"));
    assert!(message.contains("found the cipher suite `TLS_NONE`, expected "), "{message}");
}

#[test]
fn curves_are_those_of_the_list() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let served = Served::tls("curve_preferences: [CurveP521, CurveP384]");
    served.warned("CurveP521 is left out");
    for version in ["-tls1_2", "-tls1_3"] {
        let p384 = served.handshake(&format!("{version} -groups P-384"));
        assert!(p384.contains("CN = server") || p384.contains("CN=server"), "{version}: {p384}");
        let x25519 = served.handshake(&format!("{version} -groups X25519"));
        assert!(x25519.contains("handshake failure"), "{version}: {x25519}");
    }
    served.host.stop();
    for (curves, expected) in [("CurveP521", "without any curve"), ("secp256k1", "found the curve `secp256k1`")] {
        let text = format!("tls_server_config: {{ {SERVER}, curve_preferences: [{curves}] }}\n");
        let message = refusal(&served.folder, &text);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn certificate_key_and_client_ca_may_stand_in_the_file() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let folder = certificates();
    let inline = |name: &str| {
        let pem = fs::read_to_string(folder.path().join(name)).expect("our own folder");
        pem.lines().map(|line| format!("    {line}\n")).collect::<String>()
    };
    let text = format!(
        "tls_server_config:\n  cert: |\n{}  key: |\n{}  client_ca: |\n{}  client_auth_type: RequireAndVerifyClientCert\n",
        inline("server.pem"),
        inline("server.key"),
        inline("ca.pem")
    );
    let served = Served::start(folder, &text);
    assert_eq!((served.status_of("client"), served.status_of("stranger"), served.status(&[])), (200, 0, 0));
    served.host.stop();
    let both = text.replace("tls_server_config:\n", "tls_server_config:\n  cert_file: server.pem\n");
    assert!(refusal(&served.folder, &both).contains("both `cert_file` and `cert`"));
}

/// For each type: a client without a certificate, with one of a stranger, with one of the CA.
#[test]
fn client_auth_types() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let served = Served::tls("client_auth_type: NoClientCert");
    let all = || (served.status(&[]), served.status_of("stranger"), served.status_of("client"));
    assert_eq!(all(), (200, 200, 200), "NoClientCert");
    for (auth, ca, expected) in [
        ("RequestClientCert", "", (200, 200, 200)),
        ("RequestClientCert", ", client_ca_file: ca.pem", (200, 200, 200)),
        ("VerifyClientCertIfGiven", ", client_ca_file: ca.pem", (200, 0, 200)),
        ("RequireClientCert", "", (0, 200, 200)),
        ("RequireAnyClientCert", ", client_ca_file: ca.pem", (0, 200, 200)),
        ("RequireAndVerifyClientCert", ", client_ca_file: ca.pem", (0, 0, 200)),
        // One certificate that is its own authority.
        ("RequireAndVerifyClientCert", ", client_ca_file: stranger.pem", (0, 200, 0)),
    ] {
        served.change(&format!("client_auth_type: {auth}{ca}"));
        assert_eq!(all(), expected, "{auth}{ca}");
        for version in ["1.2", "1.3"] {
            let with = ["--cert", &served.at("client.pem"), "--key", &served.at("client.key"), "--tls-max", version];
            assert_eq!(served.status(&with), expected.2, "{auth}{ca}, TLS {version}");
        }
    }
    served.warned("clients' certificates are not checked against the client CA");
    // Less than is in force is taken by a restart alone.
    write(&served.folder, &format!("tls_server_config: {{ {SERVER} }}\n"));
    wait_until("the file to be refused", Duration::from_secs(10), || {
        served.host.log().text().contains("found no `client_auth_type` as strict as the one").then_some(())
    });
    assert_eq!(served.status(&[]), 0);
    served.host.terminate();
    served.host.wait();
    for (keys, expected) in [
        ("client_ca_file: ca.pem", "found a client CA with `client_auth_type: NoClientCert`"),
        ("client_auth_type: RequireAndVerifyClientCert", "and no `client_ca_file`"),
        ("client_auth_type: Require", "found `client_auth_type: Require`, expected NoClientCert"),
        (
            "client_ca_file: ca.pem, client_auth_type: RequestClientCert, client_allowed_sans: [a]",
            "lets clients in that have no certificate",
        ),
        (
            "client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: []",
            "`client_allowed_sans` without a name",
        ),
    ] {
        let message = refusal(&served.folder, &format!("tls_server_config: {{ {SERVER}, {keys} }}\n"));
        assert!(message.contains(expected), "{keys}: {message}");
    }
}

#[test]
fn a_rate_limit_answers_429_and_lets_the_burst_through() {
    needs!(Root, Tool("curl"));
    let folder = Folder::new();
    let file = write(&folder, "rate_limit: { interval: 1h, burst: 20 }\n");
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    let answers: Vec<_> = (0..25).map(|_| host.get("/-/healthy", &[]).status).collect();
    assert_eq!(answers, [vec![200; 20], vec![429; 5]].concat());
    write(&folder, "rate_limit: { interval: 0s }\n");
    read_again(&host);
    let (_, served) = curl(&[&format!("http://{}/metrics", host.address())]);
    assert!(served.contains("ebhost_http_scrapes_refused_total{reason=\"rate_limit\"} 5\n"), "{served}");
    host.stop();
}

/// Probes of Kubernetes have no password: they got 401.
#[test]
fn excluded_paths_need_no_password_and_no_certificate() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let text = format!(
        "tls_server_config: {{ {SERVER}, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert }}\n\
         basic_auth_users: {{ ada: {HASH} }}\nauth_excluded_paths: [/-/healthy, /-/ready]\n"
    );
    let served = Served::start(certificates(), &text);
    let at = |path: &str| served.url.replace("/-/healthy", path);
    let (ca, client, key) = (served.at("ca.pem"), served.at("client.pem"), served.at("client.key"));
    let nobody = ["--cacert", ca.as_str()];
    let (stranger, stranger_key) = (served.at("stranger.pem"), served.at("stranger.key"));
    let stranger = [&nobody[..], &["--cert", &stranger, "--key", &stranger_key]].concat();
    let certificate = [&nobody[..], &["--cert", &client, "--key", &key]].concat();
    let user = ["-u", "ada:secret"];
    for version in ["1.2", "1.3"] {
        let get = |args: &[&str], path: &str| status(&[args, &["--tls-max", version, &at(path)]].concat());
        for path in ["/-/healthy", "/-/ready"] {
            assert_eq!((get(&nobody, path), get(&stranger, path)), (200, 200), "{path}");
        }
        for path in ["/metrics", "/", "/status", "/-/healthy/", "/-/healthyx", "//-/healthy"] {
            assert_eq!(get(&[&nobody[..], &user].concat(), path), 401, "{path}: no certificate");
            assert_eq!(get(&[&stranger[..], &user].concat(), path), 401, "{path}: not of the CA");
            assert_eq!(get(&certificate, path), 401, "{path}: no password");
        }
        assert_eq!(get(&[&certificate[..], &user].concat(), "/metrics"), 200);
    }
    served.host.stop();
}

#[test]
fn headers_and_http2() {
    needs!(Root, Tool("curl"));
    let folder = Folder::new();
    let headers = [
        ("Content-Security-Policy", "frame-ancestors 'none'"),
        ("X-Frame-Options", "sameorigin"),
        ("X-Content-Type-Options", "nosniff"),
        ("X-XSS-Protection", "1; mode=block"),
        ("Strict-Transport-Security", "max-age=31536000"),
    ];
    let lines: String = headers.iter().map(|(name, value)| format!("    {name}: \"{value}\"\n")).collect();
    let file = write(&folder, &format!("http_server_config:\n  http2: true\n  headers:\n{lines}"));
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    let (_, head) = curl(&["-i", &format!("http://{}/-/healthy", host.address())]);
    for (name, value) in headers {
        assert!(head.contains(&format!("{}: {value}\r\n", name.to_lowercase())), "{name}: {head}");
    }
    host.stop();
    assert!(
        refusal(&folder, "http_server_config: { headers: { X-Frame-Options: all } }")
            .contains("expected deny or sameorigin")
    );
}

/// The exporter toolkit's own example.
#[test]
fn the_example_of_the_toolkit_is_taken() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let folder = certificates();
    let hashes = [
        "mDwo.lAisC94iLAyP81MCesa29IzH37oigHC/42V2pdJlUprsJPze",
        "hLqFl9jSjoAAy95Z/zw8Ye8wkdMBM8c5Bn1ptYqP/AXyV0.oy0S8m",
    ];
    let text = format!(
        "tls_server_config:\n  cert_file: server.pem\n  key_file: server.key\nbasic_auth_users:\n  alice: $2y$10${}\n  bob: $2y$10${}\n\
         rate_limit:\n  interval: \"1s\"\n  burst: 20\n",
        hashes[0], hashes[1]
    );
    let served = Served::start(folder, &text);
    assert_eq!(served.status(&[]), 401);
    served.host.stop();
}
