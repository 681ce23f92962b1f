//! A certificate authority that no system knows, and the certificates that it issues.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{folder::Folder, process::output};

/// An authority of its own, in a folder that is removed with it.
#[derive(Debug)]
pub struct Authority {
    folder: Folder,
}

/// A certificate and its private key, both in PEM.
#[derive(Debug)]
pub struct Issued {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A new key on P-256, unencrypted.
const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

impl Authority {
    #[expect(clippy::new_without_default, reason = "it runs openssl and writes files")]
    pub fn new() -> Self {
        let authority = Self { folder: Folder::new() };
        // Two authorities of one name are one authority with a wrong signature.
        let name = format!("/CN={}", authority.folder.path().display().to_string().replace('/', " "));
        let mut make = Command::new("openssl");
        make.args(["req", "-x509"]).args(NEW_KEY).args(["-days", "30", "-subj", &name]);
        output(make.arg("-keyout").arg(authority.path("ca.key")).arg("-out").arg(authority.certificate()));
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.path("ca.crt")
    }

    /// Issues a certificate for these names (`IP:127.0.0.1,DNS:localhost`), valid from now on for so many days.
    pub fn issue(&self, name: &str, names: &str, days: u32) -> Issued {
        let issued = Issued { certificate: self.path(&format!("{name}.crt")), key: self.path(&format!("{name}.key")) };
        let (request, extensions) = (self.path(&format!("{name}.csr")), self.path(&format!("{name}.ext")));
        fs::write(&extensions, format!("subjectAltName={names}\n")).expect("our own folder");
        let mut ask = Command::new("openssl");
        ask.arg("req").args(NEW_KEY).args(["-subj", &format!("/CN={name}")]);
        output(ask.arg("-keyout").arg(&issued.key).arg("-out").arg(&request));
        let mut sign = Command::new("openssl");
        sign.args(["x509", "-req", "-days", &days.to_string(), "-set_serial", "1", "-in"]).arg(&request);
        sign.arg("-CA").arg(self.certificate()).arg("-CAkey").arg(self.path("ca.key")).arg("-extfile").arg(&extensions);
        output(sign.arg("-out").arg(&issued.certificate));
        issued
    }
}

impl Issued {
    /// The lines with which docker-registry serves by this certificate, below `http`; with an authority, only to clients that it has issued one to.
    pub fn served(&self, clients_of: Option<&Path>) -> String {
        let clients = clients_of.map(|authority| format!(", clientcas: [{}]", authority.display())).unwrap_or_default();
        format!("tls: {{ certificate: {}, key: {}{clients} }}", self.certificate.display(), self.key.display())
    }
}
