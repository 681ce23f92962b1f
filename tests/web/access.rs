//! TLS, client certificates, users and headers, tested with curl.

use std::{fs, time::Duration};

use ebhost_tests::{Ebhost, Folder, Start, committed, needs, wait_until};

use crate::{
    certificates::{certificates, openssl},
    curl, status,
};

/// The bcrypt hash of `secret`.
pub(crate) const HASH: &str = "$2b$06$abcdefghijklmnopqrstuuxLa0AkDDSrQ9VwNnETzOsObiucpMYgC";

pub(crate) fn write(folder: &Folder, text: &str) -> String {
    let file = folder.path().join("web.yml");
    fs::write(&file, text).expect("our own folder");
    file.display().to_string()
}

#[test]
fn tls_with_client_certificates() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let folder = certificates();
    let file = write(
        &folder,
        "tls_server_config: { cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem, \
         client_auth_type: RequireAndVerifyClientCert }\n",
    );
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    let url = format!("https://{}/metrics", host.address());
    let at = |name: &str| folder.path().join(name).display().to_string();
    let (ca, client, key) = (at("ca.pem"), at("client.pem"), at("client.key"));
    let good = ["--cacert", &ca, "--cert", &client, "--key", &key, &url];
    let (code, body) = curl(&good);
    assert_eq!(code, 0, "{}", host.log().text());
    assert!(body.contains("ebhost_build_info{"), "{body}");
    for version in ["1.2", "1.3"] {
        assert_eq!(status(&[&["--tls-max", version][..], &good].concat()), 200, "TLS {version}");
    }
    // No certificate, a self-signed one, plain HTTP, an old TLS version: no response.
    assert_eq!(status(&["--cacert", &ca, &url]), 0);
    assert_eq!(status(&["--cacert", &ca, "--cert", &at("stranger.pem"), "--key", &at("stranger.key"), &url]), 0);
    assert_eq!(status(&[&url.replace("https", "http")]), 0);
    assert_eq!(status(&[&["--tls-max", "1.1"][..], &good].concat()), 0);
    assert_eq!(status(&good), 200, "and who may come in still comes in");
    host.stop();
}

/// Only clients with one of the configured names are admitted, for each kind of name that a certificate can have.
#[test]
fn only_named_clients_of_a_ca_are_admitted() {
    needs!(Root, Tool("curl"), Tool("openssl"));
    let folder = certificates();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let sans = "DNS:scraper.example,email:ops@example.org,IP:10.1.2.3,IP:fd00::7,URI:spiffe://example/scraper";
    fs::write(folder.path().join("ext"), format!("basicConstraints=CA:FALSE\nsubjectAltName={sans}\n")).expect("ours");
    let request = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder.path(), &format!("{request} -subj /CN=10.9.9.9 -keyout many.key -out many.csr"));
    let sign = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext";
    openssl(folder.path(), &format!("{sign} -in many.csr -out many.pem"));
    fs::write(folder.path().join("ext"), "basicConstraints=CA:FALSE\n").expect("our own folder");
    openssl(folder.path(), &format!("{sign} -in many.csr -out none.pem"));

    let config = |names: &str, kind: &str| {
        format!(
            "tls_server_config: {{ cert_file: server.pem, key_file: server.key, client_ca_file: ca.pem, \
             client_auth_type: {kind}, client_allowed_sans: [{names}] }}\n"
        )
    };
    let file = write(&folder, &config("scraper.example", "RequireAndVerifyClientCert"));
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    let url = format!("https://{}/-/healthy", host.address());
    let by = |certificate: &str, key: &str| {
        status(&["--cacert", &at("ca.pem"), "--cert", &at(certificate), "--key", &at(key), &url])
    };
    for (names, expected) in [
        ("scraper.example", 200),
        ("other.example", 0),
        ("Scraper.example", 0),
        ("'*.example'", 0),
        ("ops@example.org", 200),
        ("'other.example', 10.1.2.3", 200),
        ("10.1.2.4", 0),
        ("'fd00::7'", 200),
        ("'spiffe://example/scraper'", 200),
        // The subject is not an alternative name.
        ("10.9.9.9", 0),
    ] {
        write(&folder, &config(names, "RequireAndVerifyClientCert"));
        read_again(&host);
        assert_eq!(by("many.pem", "many.key"), expected, "{names}");
    }
    write(&folder, &config("scraper.example, 127.0.0.1", "RequireAndVerifyClientCert"));
    read_again(&host);
    for version in ["1.2", "1.3"] {
        let client = ["--cacert", &at("ca.pem"), "--cert", &at("many.pem"), "--key", &at("many.key"), &url];
        assert_eq!(status(&[&["--tls-max", version][..], &client].concat()), 200, "TLS {version}");
    }
    assert_eq!(by("client.pem", "client.key"), 200, "the other name of the list");
    assert_eq!(by("none.pem", "many.key"), 0, "no names");
    assert_eq!(by("stranger.pem", "stranger.key"), 0, "not of the CA");
    assert_eq!(status(&["--cacert", &at("ca.pem"), &url]), 0, "no certificate");
    // Clients without a certificate have no name: the file is refused, as the exporter toolkit refuses it, and nobody is let in by it.
    write(&folder, &config("scraper.example", "VerifyClientCertIfGiven"));
    wait_until("the file to be refused", Duration::from_secs(10), || {
        host.log().text().contains("lets clients in that have no certificate").then_some(())
    });
    assert_eq!(status(&["--cacert", &at("ca.pem"), &url]), 0, "no certificate");
    assert_eq!(by("client.pem", "client.key"), 200, "the list of before");
    host.terminate();
    host.wait();
}

/// Sends SIGHUP, and waits until the file is reloaded.
pub(crate) fn read_again(host: &Ebhost) {
    let times = || host.log().lines().iter().filter(|line| line.text.contains("web configuration read again")).count();
    let before = times();
    host.hang_up();
    wait_until("the file to be read again", Duration::from_secs(10), || (times() > before).then_some(()));
}

#[test]
fn users_have_passwords_and_every_answer_has_the_headers() {
    needs!(Root, Tool("curl"));
    let folder = Folder::new();
    let text = format!(
        "basic_auth_users: {{ ada: {HASH} }}\nhttp_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\n"
    );
    let file = write(&folder, &text);
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    let url = format!("http://{}/metrics", host.address());
    for (user, expected) in
        [("ada:secret", 200), ("ada:secret", 200), ("ada:wrong", 401), ("eve:secret", 401), (":", 401)]
    {
        assert_eq!(status(&["-u", user, &url]), expected, "{user}");
    }
    let (_, head) = curl(&["-i", &url]);
    let head = head.to_lowercase();
    assert!(head.starts_with("http/1.1 401 unauthorized\r\n"), "{head}");
    assert!(head.contains("\r\nwww-authenticate: basic realm=\"ebhost\"\r\n"), "{head}");
    assert!(head.contains("\r\nx-frame-options: deny\r\n"), "{head}");
    assert_eq!(status(&[&url.replace("metrics", "-/healthy")]), 401, "every path is behind the password");

    // The file is reloaded without a restart; an invalid file changes nothing.
    write(&folder, &text.replace("ada", "bea"));
    wait_until("the new user", Duration::from_secs(10), || (status(&["-u", "bea:secret", &url]) == 200).then_some(()));
    assert_eq!(status(&["-u", "ada:secret", &url]), 401);
    write(&folder, "basic_auth_users: [");
    // The mistake is reported when it is made, though nobody connects.
    wait_until("the mistake to be reported", Duration::from_secs(10), || {
        host.log().text().contains("the web configuration stays as it was: ").then_some(())
    });
    assert_eq!((status(&["-u", "bea:secret", &url]), status(&[&url])), (200, 401));
    let (_, served) = curl(&["-u", "bea:secret", &url]);
    for line in ["ebhost_web_config_valid 0\n", "ebhost_web_config_reload_failures_total 1\n"] {
        assert!(served.contains(line), "{line}{served}");
    }
    host.terminate();
    let log = host.wait().log;
    let stays = |line: &&ebhost_tests::Line| line.text.contains("the web configuration stays as it was: ");
    assert_eq!(log.lines().iter().filter(stays).count(), 1, "{}", log.text());
    assert!(!log.text().contains("secret"), "a password is never logged: {}", log.text());
}

#[test]
fn the_host_does_not_start_with_an_invalid_web_config() {
    needs!(Root, Tool("openssl"));
    let folder = certificates();
    let missing = folder.path().join("none.yml").display().to_string();
    for (text, expected) in [
        (None, "cannot be read: No such file"),
        (Some("tls_server_config: { cert_file: none.pem, key_file: none.key }"), "none.pem: cannot be read"),
        (
            Some("tls_server_config: { cert_file: ca.pem, key_file: ca.key, client_allowed_sans: [a.example] }"),
            "found `client_allowed_sans` without a client CA",
        ),
        (Some("basic_auth_users: { ada: secret }"), "basic_auth_users.ada: found no bcrypt hash"),
        (Some("basic_auth: {}"), "unknown field `basic_auth`"),
    ] {
        let file = text.map_or_else(|| missing.clone(), |text| write(&folder, text));
        let ended = Start::with(&committed()).args(&["--web.config.file", &file]).ended();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.log.text());
        assert!(ended.log.text().contains(expected), "{expected}: {}", ended.log.text());
    }
}
