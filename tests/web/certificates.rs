//! Certificates, made by openssl.

use std::{fs, path::Path, process::Command};

use ebhost_tests::{Folder, output};

const NEW: &str = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";

pub(crate) fn openssl(folder: &Path, args: &str) {
    output(Command::new("openssl").current_dir(folder).args(args.split(' ')).stderr(std::process::Stdio::null()));
}

/// Certificates: a CA, a server's and a client's signed by it, and another client's that is self-signed.
pub(crate) fn certificates() -> Folder {
    let folder = Folder::new();
    let path = folder.path();
    openssl(path, &format!("{NEW} -subj /CN=ca -keyout ca.key -out ca.pem"));
    openssl(path, &format!("{NEW} -subj /CN=stranger -keyout stranger.key -out stranger.pem"));
    // The CA must sign certificates of version 3 that are not CAs; both need an extension.
    fs::write(path.join("ext"), "basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n").expect("our own folder");
    for name in ["server", "client"] {
        let request = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(path, &format!("{request} -subj /CN={name} -keyout {name}.key -out {name}.csr"));
        let sign = "x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext";
        openssl(path, &format!("{sign} -in {name}.csr -out {name}.pem"));
    }
    folder
}

/// A self-signed server's certificate and its key, `NAME.pem` and `NAME.key`, with `name` as its subject.
pub(crate) fn self_signed(folder: &Path, name: &str) {
    openssl(
        folder,
        &format!("{NEW} -subj /CN={name} -addext subjectAltName=IP:127.0.0.1 -keyout {name}.key -out {name}.pem"),
    );
}

/// The report of openssl's client on a connection: the version, the suite, the subject of the server's certificate.
pub(crate) fn handshake(address: &str, args: &str) -> String {
    let mut client = Command::new("timeout");
    client.args(["10", "openssl", "s_client", "-connect", address]);
    client.args(args.split(' ').filter(|arg| !arg.is_empty())).stdin(std::process::Stdio::null());
    let output = client.output().expect("openssl starts");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
