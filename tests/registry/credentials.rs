//! Registries that ask who is there.

use std::process::Command;

use ebhost_tests::{Folder, binary, needs};

use crate::{
    kit::{Lab, Registry, Said},
    token::{REFRESH, TokenService},
};

/// The line of a user `ada` with the password `secret`.
const HTPASSWD: &str = "ada:$2b$06$abcdefghijklmnopqrstuuxLa0AkDDSrQ9VwNnETzOsObiucpMYgC\n";

#[test]
fn credentials_are_those_of_the_usual_files() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let folder = Folder::new();
    let users = folder.path().join("htpasswd");
    std::fs::write(&users, HTPASSWD).expect("our own folder");
    let lab =
        Lab::with(Registry::with(&format!("auth: {{ htpasswd: {{ realm: lab, path: {} }} }}\n", users.display())));
    let (registry, reference) = (lab.registry.address, lab.repository("acme/runqlat:1.0.0"));
    let package = lab.package("1.0.0").display().to_string();
    let push = ["push", &package, &reference];
    let said = lab.ebhost(&push);
    assert_eq!(said.code, Some(2), "{said:?}");
    for word in [
        &format!("{registry} asks for credentials (status 401")[..],
        "found no file of credentials",
        &format!("podman login {registry}"),
    ] {
        assert!(said.err.contains(word), "no `{word}` in {}", said.err);
    }
    // As `skopeo login` leaves them, in the file that a variable names.
    let auth = lab.at("auth.json");
    let login = |password: &str| {
        let args =
            ["login", "--tls-verify=false", "--authfile", &auth, "-u", "ada", "-p", password, &registry.to_string()];
        lab.tool("skopeo", &args)
    };
    login("secret").done();
    let with_file = |args: &[&str], file: &str| {
        let mut command = lab.command(Command::new(binary()));
        Said::of(command.env("REGISTRY_AUTH_FILE", file).args(args))
    };
    with_file(&push, &auth).done();
    let listed = with_file(&["search", &registry.to_string()], &auth).done();
    assert!(listed.starts_with(&format!("{reference}  1.0.0  ")), "{listed}");
    // As docker leaves them, at home.
    std::fs::create_dir_all(lab.path(".docker")).expect("our own folder");
    std::fs::copy(&auth, lab.path(".docker/config.json")).expect("our own folder");
    lab.pull(&["--allow-unsigned", &reference]).done();
    let wrong = lab
        .write("wrong.json", &format!(r#"{{"auths": {{"{registry}": {{"username": "ada", "password": "wrong"}}}}}}"#));
    let said = with_file(&push, &wrong);
    assert!(said.code == Some(2) && said.err.contains("found none that it takes in"), "{said:?}");
    assert!(!said.err.contains("wrong\""), "{said:?}");
    let said = with_file(&push, "/nonexistent");
    assert!(
        said.err.contains("/nonexistent: cannot be read") && said.err.contains("$REGISTRY_AUTH_FILE names it"),
        "{said:?}"
    );
}

#[test]
fn a_token_service_is_asked_with_the_password_or_the_identity_token() {
    needs!(Tool("openssl"), Tool("apt-get"), Tool("dpkg-deb"));
    let service = TokenService::start();
    let lab = Lab::with(Registry::with(&service.configuration()));
    let (registry, reference) = (lab.registry.address, lab.repository("acme/runqlat:1.0.0"));
    let package = lab.package("1.0.0").display().to_string();
    let push = |auth: &str| {
        let file = lab.write("auth.json", &format!(r#"{{"auths": {{"{registry}": {auth}}}}}"#));
        let mut command = lab.command(Command::new(binary()));
        let said = Said::of(command.env("REGISTRY_AUTH_FILE", file).args(["push", &package, &reference]));
        (said, service.asked())
    };
    let (said, asked) = push(r#"{"auth": "YWRhOnNlY3JldA=="}"#);
    said.done();
    let scope = "service=lab&scope=repository:acme/runqlat:pull,push";
    assert!(
        asked.len() == 1 && asked[0].starts_with("GET /token?") && asked[0].contains(scope),
        "one token for all of a push: {asked:?}"
    );
    let (said, asked) = push(&format!(r#"{{"identitytoken": "{REFRESH}"}}"#));
    said.done();
    assert!(asked[0].starts_with("POST /token ") && asked[0].contains("grant_type=refresh_token"), "{asked:?}");
    for wrong in [r#"{"auth": "YWRhOndyb25n"}"#, r#"{"identitytoken": "stolen"}"#, "{}"] {
        let (said, _) = push(wrong);
        assert!(said.code == Some(2) && said.err.contains(&format!("{registry} asks for credentials")), "{said:?}");
    }
}
