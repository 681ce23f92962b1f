//! Certificates that are renewed and links that move, under Landlock.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use ebhost_tests::{Ebhost, Folder, Start, committed, needs, wait_until};

use crate::{
    access::{HASH, write},
    certificates::{handshake, self_signed},
    status,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The name in the certificate that the host shows.
fn shown(host: &Ebhost, version: &str) -> String {
    let said = handshake(&host.address().to_string(), version);
    let subject = said.lines().find_map(|line| line.strip_prefix("subject="));
    subject.unwrap_or_else(|| panic!("{said}")).rsplit('=').next().unwrap_or_default().trim().to_owned()
}

/// Points a link elsewhere as `ln -sfn` and certbot do: the new link replaces the old one.
fn point(link: &Path, target: &str) {
    let new = link.with_extension("new");
    symlink(target, &new).expect("our own folder");
    fs::rename(&new, link).expect("our own folder");
}

fn both_show(host: &Ebhost, name: &str) {
    wait_until(&format!("the certificate {name}"), PATIENCE, || (shown(host, "-tls1_3") == name).then_some(()));
    assert_eq!(shown(host, "-tls1_2"), name);
}

/// `live/HOST/fullchain.pem → ../../archive/HOST/fullchain7.pem`: after a renewal the old certificate was served until it expired.
#[test]
fn a_certificate_that_certbot_renews_is_served() {
    needs!(Root, Tool("openssl"));
    let folder = Folder::new();
    let (live, archive) = (folder.path().join("live/host"), folder.path().join("archive/host"));
    let config = Folder::new();
    for path in [&live, &archive] {
        fs::create_dir_all(path).expect("our own folder");
    }
    for name in ["first", "second", "third"] {
        self_signed(&archive, name);
    }
    let renew = |name: &str| {
        point(&live.join("cert.pem"), &format!("../../archive/host/{name}.pem"));
        point(&live.join("key.pem"), &format!("../../archive/host/{name}.key"));
    };
    renew("first");
    let live = live.display();
    let file =
        write(&config, &format!("tls_server_config: {{ cert_file: {live}/cert.pem, key_file: {live}/key.pem }}\n"));
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    both_show(&host, "first");
    renew("second");
    both_show(&host, "second");
    // Half a renewal is reported, and the certificate of before goes on.
    point(&folder.path().join("live/host/cert.pem"), "../../archive/host/third.pem");
    wait_until("the mistake to be reported", PATIENCE, || {
        host.log().text().contains("the web configuration stays as it was: ").then_some(())
    });
    both_show(&host, "second");
    renew("third");
    both_show(&host, "third");
    host.terminate();
    host.wait();
}

/// `current → releases/2`: after the link moved the new files could not be read.
#[test]
fn a_link_to_the_release_of_the_day_may_move() {
    needs!(Root, Tool("openssl"));
    let folder = Folder::new();
    for name in ["one", "two"] {
        let release = folder.path().join("releases").join(name);
        fs::create_dir_all(&release).expect("our own folder");
        self_signed(&release, name);
        let text = format!("tls_server_config: {{ cert_file: {name}.pem, key_file: {name}.key }}\n");
        fs::write(release.join("web.yml"), text).expect("our own folder");
    }
    let current = folder.path().join("current");
    point(&current, "releases/one");
    let file = current.join("web.yml").display().to_string();
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    both_show(&host, "one");
    point(&current, "releases/two");
    both_show(&host, "two");
    host.stop();
}

/// A plugin folder that is reached through a link which moves was not taken any more.
#[test]
fn packages_of_the_release_of_the_day_are_loaded() {
    needs!(Root);
    let folder = Folder::new();
    for (release, package) in [("1", "llcstat"), ("2", "biolatency")] {
        let plugins = folder.path().join("releases").join(release);
        fs::create_dir_all(&plugins).expect("our own folder");
        ebhost_tests::copy_package(&committed().join(package), &plugins.join(package));
    }
    let current = folder.path().join("current");
    point(&current, "releases/1");
    let host = Ebhost::start(&current);
    point(&current, "releases/2");
    host.hang_up();
    wait_until("the package of the new release", Duration::from_secs(30), || {
        host.scrape().value("ebhost_plugin_up", &[("plugin", "biolatency")]).filter(|up| *up == 1.0)
    });
    host.stop();
}

/// A certificate outside the folders of the start cannot be read; the message says so and what to do.
#[test]
fn a_certificate_outside_the_folders_of_the_start_is_explained() {
    needs!(Root, Tool("openssl"));
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    self_signed(folder.path(), "first");
    self_signed(elsewhere.path(), "second");
    for end in ["pem", "key"] {
        point(&folder.path().join(format!("link.{end}")), &format!("first.{end}"));
    }
    let file = write(&folder, "tls_server_config: { cert_file: link.pem, key_file: link.key }\n");
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    for end in ["pem", "key"] {
        let target = elsewhere.path().join(format!("second.{end}"));
        point(&folder.path().join(format!("link.{end}")), &target.display().to_string());
    }
    let explained = || {
        let text = host.log().text();
        let place = elsewhere.path().join("second.pem").canonicalize().expect("it is there");
        (text.contains(&format!("the file is {}. Under Landlock only folders", place.display()))).then_some(())
    };
    wait_until("the explanation", PATIENCE, explained);
    both_show(&host, "first");
    host.terminate();
    host.wait();
}

/// `: > web.yml` let everybody in until the file was written.
#[test]
fn a_file_that_is_half_written_lets_nobody_in() {
    needs!(Root, Tool("curl"));
    let folder = Folder::new();
    let text = format!(
        "http_server_config: {{ headers: {{ X-Frame-Options: deny }} }}\nbasic_auth_users: {{ ada: {HASH} }}\n"
    );
    let file = write(&folder, &text);
    let host = Start::with(&committed()).args(&["--web.config.file", &file]).listening();
    let url = format!("http://{}/metrics", host.address());
    for half in ["", "http_server_config: { headers: { X-Frame-Options: deny } }\n"] {
        let reports = || host.log().text().matches("found no `basic_auth_users`").count();
        let before = reports();
        write(&folder, half);
        for _ in 0..10 {
            assert_eq!(status(&[&url]), 401, "{half:?}");
        }
        wait_until("the report of it", PATIENCE, || (reports() > before).then_some(()));
        host.hang_up();
        assert_eq!((status(&[&url]), status(&["-u", "ada:secret", &url])), (401, 200), "{half:?}");
    }
    write(&folder, &text.replace("ada", "bea"));
    wait_until("the whole file", PATIENCE, || (status(&["-u", "bea:secret", &url]) == 200).then_some(()));
    host.terminate();
    host.wait();
}
