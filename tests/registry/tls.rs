//! Registries that speak TLS: with certificates of an authority of their own, with wrong ones, and without any.

use std::{fs, net::SocketAddr, path::Path, process::Command, thread, time::Duration};

use ebhost_tests::{Authority, Issued, binary, needs};

use crate::{
    kit::{Lab, Registry, Said},
    token::TokenService,
};

/// The names of this machine that a certificate has to be for.
const LOOPBACK: &str = "IP:127.0.0.1,DNS:localhost";

/// To this machine TLS is spoken where it is asked for.
const TLS: &str = "--plain-http=false";

fn lab(server: &Issued) -> Lab {
    Lab::with(Registry::behind_tls(&server.served(None), ""))
}

/// The command of the lab's user, with a variable.
fn with(lab: &Lab, variable: (&str, &Path), args: &[&str]) -> Said {
    let mut command = lab.command(Command::new(binary()));
    Said::of(command.env(variable.0, variable.1).args(args))
}

/// A folder of certs.d for a registry, in the user's home.
fn certs_d(lab: &Lab, registry: SocketAddr, files: &[(&Path, &str)]) {
    let folder = lab.path(&format!(".config/containers/certs.d/{registry}"));
    fs::create_dir_all(&folder).expect("our own folder");
    for (file, name) in files {
        fs::copy(file, folder.join(name)).expect("our own folder");
    }
}

#[test]
fn a_registry_with_a_certificate_of_a_private_authority_is_used_once_the_authority_is_named() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let authority = Authority::new();
    let lab = lab(&authority.issue("registry", LOOPBACK, 30));
    let ca = authority.certificate().display().to_string();
    let (package, registry) = (lab.package("1.0.0").display().to_string(), lab.registry.address);
    let (reference, key) = (lab.repository("acme/runqlat:1.0.0"), lab.at("a.pub"));
    let push = ["push", &package, &reference, "--sign-key", &lab.at("a.key")];

    let unknown = "found a certificate that is refused: none of the authorities that are trusted has issued it";
    let said = lab.ebhost(&[&push[..], &[TLS]].concat());
    assert!(said.code == Some(2) && said.err.contains(unknown) && said.err.contains("--ca-file"), "{said:?}");
    let said = lab.ebhost(&push);
    let hint = "expected a registry that takes HTTP without TLS; try --plain-http=false";
    assert!(said.code == Some(2) && said.err.contains(hint), "{said:?}");

    let pushed = lab.ebhost(&[&push[..], &[TLS, "--ca-file", &ca]].concat()).done();
    assert!(pushed.trim().starts_with(&format!("{reference}@sha256:")), "{pushed}");
    lab.refused(&["--key", &key, TLS, &reference], &[unknown]);
    let said = lab.pull(&["--key", &key, TLS, "--ca-file", &ca, &reference]).done();
    assert!(said.starts_with("runqlat 1.0.0: installed, signed by"), "{said}");

    // As programs that use OpenSSL take it.
    let verify = ["verify", "--key", &key, TLS, &reference];
    with(&lab, ("SSL_CERT_FILE", &authority.certificate()), &verify).done();
    let nothing = lab.write("nothing.pem", "no certificate");
    let said = with(&lab, ("SSL_CERT_FILE", Path::new(&nothing)), &verify);
    let words = format!("SSL_CERT_FILE: found no certificate of an authority in `{nothing}`");
    assert!(said.code == Some(2) && said.err.contains(&words), "{said:?}");
    let said = lab.ebhost(&[&verify[..], &["--ca-file", &nothing]].concat());
    assert!(said.code == Some(2) && said.err.contains("found no certificate, expected one in PEM"), "{said:?}");

    // As podman and skopeo take it: no flag is needed any more.
    certs_d(&lab, registry, &[(&authority.certificate(), "ca.crt")]);
    lab.ebhost(&["verify", "--key", &key, &reference]).done();
    let listed = lab.ebhost(&["search", &registry.to_string()]).done();
    assert!(listed.starts_with(&format!("{reference}  1.0.0  ")), "{listed}");
    let listed = lab.tool("skopeo", &["list-tags", &format!("docker://{}", lab.repository("acme/runqlat"))]).done();
    assert!(listed.contains("\"1.0.0\""), "{listed}");
}

#[test]
fn a_registry_with_a_wrong_certificate_is_refused_with_the_reason() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let (authority, other) = (Authority::new(), Authority::new());
    let expired = authority.issue("expired", LOOPBACK, 0);
    thread::sleep(Duration::from_secs(2)); // a certificate is valid in the second in which it ends
    for (server, reason) in [
        (other.issue("registry", LOOPBACK, 30), "none of the authorities that are trusted has issued it"),
        (expired, "it has expired at 20"),
        (authority.issue("name", "DNS:registry.example", 30), "it is for "),
        (authority.issue("name", "IP:10.0.0.1", 30), ", expected one for 127.0.0.1"),
    ] {
        let lab = lab(&server);
        let ca = authority.certificate().display().to_string();
        let reference = lab.repository("acme/runqlat:1.0.0");
        let refused = ["found a certificate that is refused: ", reason];
        lab.refused(&["--allow-unsigned", TLS, "--ca-file", &ca, &reference], &refused);
        let package = lab.package("1.0.0").display().to_string();
        let said = lab.ebhost(&["push", &package, &reference, TLS, "--ca-file", &ca]);
        assert!(said.code == Some(2) && said.err.contains(reason), "{said:?}");
        // HTTP without TLS is not a way around.
        lab.refused(&["--allow-unsigned", "--plain-http", &reference], &["status 400", "HTTPS"]);
    }
}

#[test]
fn a_registry_that_asks_for_a_certificate_is_shown_the_one_of_its_folder() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let authority = Authority::new();
    let (server, client) = (authority.issue("registry", LOOPBACK, 30), authority.issue("client", "DNS:client", 30));
    let lab = Lab::with(Registry::behind_tls(&server.served(Some(&authority.certificate())), ""));
    let registry = lab.registry.address;
    let (package, reference) = (lab.package("1.0.0").display().to_string(), lab.repository("acme/runqlat:1.0.0"));
    certs_d(&lab, registry, &[(&authority.certificate(), "ca.crt")]);
    let said = lab.ebhost(&["push", &package, &reference]);
    assert!(said.code == Some(2) && said.err.contains("no answer"), "{said:?}");
    certs_d(&lab, registry, &[(&client.certificate, "client.cert")]);
    let said = lab.ebhost(&["push", &package, &reference]);
    assert!(said.code == Some(2) && said.err.contains("client.key: cannot be read: No such file"), "{said:?}");
    certs_d(&lab, registry, &[(&client.key, "client.key")]);
    lab.ebhost(&["push", &package, &reference]).done();
    lab.pull(&["--allow-unsigned", &reference]).done();
}

/// `0.0.0.0` reaches this machine, and is not the loopback address.
#[test]
fn http_without_tls_is_spoken_to_this_machine_and_elsewhere_only_when_it_is_asked_for() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    lab.push("1.0.0", "acme/runqlat", "1.0.0");
    let reference = format!("0.0.0.0:{}/acme/runqlat:1.0.0", lab.registry.address.port());
    let no_tls = ["https://0.0.0.0:", "found no TLS", "--plain-http speaks HTTP without TLS"];
    lab.refused(&["--allow-unsigned", &reference], &no_tls);
    lab.refused(&["--allow-unsigned", TLS, &lab.repository("acme/runqlat:1.0.0")], &["found no TLS"]);
    lab.pull(&["--allow-unsigned", "--plain-http", &reference]).done();
}

#[test]
fn a_password_is_not_sent_to_a_token_service_without_tls() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let (authority, service) = (Authority::new(), TokenService::start());
    let server = authority.issue("registry", LOOPBACK, 30);
    let lab = Lab::with(Registry::behind_tls(&server.served(None), &service.configuration()));
    let registry = lab.registry.address;
    certs_d(&lab, registry, &[(&authority.certificate(), "ca.crt")]);
    let file = lab.write("auth.json", &format!(r#"{{"auths": {{"{registry}": {{"auth": "YWRhOnNlY3JldA=="}}}}}}"#));
    let (package, reference) = (lab.package("1.0.0").display().to_string(), lab.repository("acme/runqlat:1.0.0"));
    let said = with(&lab, ("REGISTRY_AUTH_FILE", Path::new(&file)), &["push", &package, &reference]);
    assert!(said.code == Some(2) && said.err.contains("credentials are not sent without"), "{said:?}");
    assert!(service.asked().is_empty(), "the service was not even asked");
}
