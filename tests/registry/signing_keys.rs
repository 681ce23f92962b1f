//! Private keys that `push` signs with: those of openssl, and those that cosign encrypts.

use std::{
    fs,
    io::{Read as _, Write as _},
    process::{Command, Stdio},
};

use ebhost_tests::{binary, debian, needs};

use crate::{
    kit::{Lab, Said},
    signatures::cosign,
};

/// Verifies a signature by both versions of cosign and by `pull`.
fn verified_by_all(lab: &Lab, key: &str, pushed: &str) {
    let key = lab.at(key);
    for newest in [false, true] {
        let verify = ["verify", "--key", &key, "--insecure-ignore-tlog=true", "--allow-http-registry", pushed];
        cosign(lab, newest, &verify).done();
    }
    let said = lab.ebhost(&["verify", "--key", &key, pushed]).done();
    assert!(said.contains("signed by"), "{said}");
}

#[test]
fn push_signs_with_the_key_that_cosign_has_encrypted() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    // Made by both versions, imported from openssl, and under the label of cosign 1.
    cosign(&lab, false, &["generate-key-pair", "--output-key-prefix", "two"]).done();
    cosign(&lab, true, &["generate-key-pair", "--output-key-prefix", "three"]).done();
    cosign(&lab, true, &["import-key-pair", "--key", "a.key", "--output-key-prefix", "imported"]).done();
    let text = fs::read_to_string(lab.path("two.key")).expect("cosign's own file");
    assert!(text.starts_with("-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----"), "{text}");
    lab.write("one.key", &text.replace("SIGSTORE", "COSIGN"));
    for (key, public) in [("two", "two.pub"), ("three", "three.pub"), ("imported", "a.pub"), ("one", "two.pub")] {
        let target = format!("{key}/runqlat:1.0.0");
        let sign = ["--sign-key", &lab.at(&format!("{key}.key"))];
        let pushed = lab.push_folder(&lab.package(&format!("1.0.0-{key}")), &target, &sign);
        verified_by_all(&lab, public, &pushed);
        lab.refused(&["--key", &lab.at("b.pub"), &pushed], &["another key has signed"]);
    }
}

/// Pushes with these arguments from a terminal, and types the password once it is asked for; the exit status, and everything that the terminal showed.
fn typed(lab: &Lab, arguments: &str, password: &str) -> (Option<i32>, String) {
    let mut script = lab.command(Command::new("script"));
    let line = format!("'{}' push {arguments}", binary().display());
    script.env_remove("COSIGN_PASSWORD").args(["--quiet", "--return", "--log-out", "/dev/null", "--command", &line]);
    let mut running = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script runs");
    let (mut keyboard, mut screen) = (running.stdin.take().expect("a pipe"), running.stdout.take().expect("a pipe"));
    let (mut shown, mut byte) = (Vec::new(), [0]);
    while !shown.ends_with(b"Password of the private key: ") && screen.read(&mut byte).is_ok_and(|read| read == 1) {
        shown.push(byte[0]);
    }
    keyboard.write_all(password.as_bytes()).expect("script reads");
    screen.read_to_end(&mut shown).expect("a pipe");
    let ended = running.wait().expect("it ends");
    (ended.code(), String::from_utf8_lossy(&shown).into_owned())
}

#[test]
fn the_password_of_a_key_is_that_of_the_environment_or_piped_or_typed() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"), Tool("script"));
    let lab = Lab::new();
    cosign(&lab, false, &["generate-key-pair"]).done();
    let (package, key) = (lab.package("1.0.0").display().to_string(), lab.at("cosign.key"));
    let push = |target: &str| {
        let mut command = lab.command(Command::new(binary()));
        command.env_remove("COSIGN_PASSWORD").args(["push", &package, &lab.repository(target), "--sign-key", &key]);
        command
    };
    let piped = |password: &str, target: &str| {
        let mut command = push(target);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().expect("our own binary");
        running.stdin.take().expect("a pipe").write_all(password.as_bytes()).expect("it reads");
        let ended = running.wait_with_output().expect("it ends");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    assert_eq!(piped("pass phrase", "piped/runqlat:1.0.0"), (Some(0), String::new()));
    for wrong in ["", "pass phrase\n", "another"] {
        let (code, said) = piped(wrong, "wrong/runqlat:1.0.0");
        let expected = "expected the one that it was encrypted with: in $COSIGN_PASSWORD, or typed or piped";
        assert!(code == Some(2) && said.contains(expected), "{wrong:?}: {said}");
    }
    let (code, shown) = typed(
        &lab,
        &format!("'{package}' {} --sign-key '{key}'", lab.repository("typed/runqlat:1.0.0")),
        "pass phrase\r",
    );
    assert!(code == Some(0) && shown.contains("typed/runqlat:1.0.0@sha256:") && !shown.contains("phrase"), "{shown}");
    let (code, shown) =
        typed(&lab, &format!("'{package}' {} --sign-key '{key}'", lab.repository("wrong/runqlat:1.0.0")), "\u{3}");
    assert!(
        code == Some(2) && shown.contains("no password for it: nothing was typed; set $COSIGN_PASSWORD"),
        "{shown}"
    );
    let listed = lab.ebhost(&["search", &lab.registry.address.to_string()]).done();
    assert!(
        listed.contains("piped/runqlat") && listed.contains("typed/runqlat") && !listed.contains("wrong/"),
        "{listed}"
    );
}

#[test]
fn a_key_that_push_cannot_use_is_refused_before_anything_is_pushed() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let lab = Lab::new();
    cosign(&lab, false, &["generate-key-pair"]).done();
    let package = lab.package("1.0.0").display().to_string();
    lab.write("text.key", "no key");
    let mut other = lab.command(debian::REGISTRY.command("usr/bin/cosign"));
    other.env("COSIGN_PASSWORD", "another").args(["generate-key-pair", "--output-key-prefix", "other"]);
    Said::of(&mut other).done();
    let whole = fs::read_to_string(lab.path("cosign.key")).expect("cosign's own file");
    lab.write("cut.key", &whole[..whole.len() / 2]);
    let mut openssl = lab.command(Command::new("openssl"));
    Said::of(openssl.args(["genpkey", "-algorithm", "RSA", "-out", "rsa.key"])).done();
    let mut openssl = lab.command(Command::new("openssl"));
    Said::of(openssl.args(["ec", "-in", "a.key", "-out", "sec1.key"])).done();
    for (key, found) in [
        ("other.key", "found a password that does not open the key"),
        ("cut.key", "found no PEM"),
        ("a.pub", "found `PUBLIC KEY`, expected a private key"),
        ("text.key", "found no PEM"),
        ("rsa.key", "found a key of another kind"),
        ("sec1.key", "found a key in the form of SEC 1"),
        ("none.key", "cannot be read"),
    ] {
        let said = lab.ebhost(&["push", &package, &lab.repository("acme/runqlat"), "--sign-key", &lab.at(key)]);
        assert!(said.code == Some(2) && said.err.contains(found), "{key}: {said:?}");
    }
    let said = lab.ebhost(&["search", &lab.repository("acme/runqlat")]);
    assert_eq!(said.code, Some(1), "nothing was pushed: {said:?}");
    // A key that cosign took over from openssl is the same key.
    cosign(&lab, true, &["import-key-pair", "--key", "a.key", "--output-key-prefix", "imported"]).done();
    let pushed = lab.push_folder(&lab.path("runqlat-1.0.0"), "acme/runqlat", &[]);
    let sign = ["sign", "--yes", "--key", "imported.key", "--tlog-upload=false", "--use-signing-config=false"];
    cosign(&lab, true, &[&sign[..], &["--allow-http-registry", &pushed]].concat()).done();
    lab.pull(&["--key", &lab.at("a.pub"), &pushed]).done();
}
