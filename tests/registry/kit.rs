//! A registry, keys, and packages to push.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use ebhost_tests::{Folder, Response, Running, binary, committed, copy_package, debian, get, output, wait_until};
use serde_json::Value;

/// A manifest's media type.
pub(crate) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Debian's docker-registry, with its storage. Stopped on drop.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    storage: Folder,
    _process: Running,
}

/// The output and exit status of a command.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

/// A registry, the home of a user with two key pairs (`a`, `b`), and a folder of packages.
pub(crate) struct Lab {
    pub(crate) registry: Registry,
    home: Folder,
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// Stands before a registry: `answer` gets the head of each request and what passes a head on and returns the answer.
pub(crate) fn proxy(
    registry: SocketAddr,
    answer: impl Fn(&str, &dyn Fn(&str) -> Vec<u8>) -> Vec<u8> + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("its address");
    let pass_on = move |request: &str| {
        let mut server = TcpStream::connect(registry).expect("the registry runs");
        server.write_all(request.as_bytes()).expect("the registry reads");
        let mut answer = Vec::new();
        server.read_to_end(&mut answer).expect("the registry answers");
        answer
    };
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|read| read == 1) {
                request.push(byte[0]);
            }
            let request = String::from_utf8_lossy(&request).replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
            let _ = client.write_all(&answer(&request, &pass_on)); // the client may have had enough
        }
    });
    address
}

impl Registry {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    /// A registry with further lines of configuration.
    pub(crate) fn with(more: &str) -> Self {
        Self::configured("", more)
    }

    /// A registry with lines for TLS, and with further ones.
    pub(crate) fn behind_tls(tls: &str, more: &str) -> Self {
        Self::configured(&format!(", {tls}"), more)
    }

    fn configured(http: &str, more: &str) -> Self {
        let (storage, address) = (Folder::new(), free_address());
        let config = storage.path().join("config.yml");
        let root = storage.path().join("data");
        let text = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: {address}{http} }}\n{more}",
            root.display()
        );
        fs::write(&config, text).expect("our own folder");
        let mut command = debian::REGISTRY.command("usr/bin/docker-registry");
        command.arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Running::start(&mut command);
        wait_until("the registry", Duration::from_secs(30), || TcpStream::connect(address).ok());
        Self { address, storage, _process: process }
    }

    /// The manifest of a tag or digest.
    pub(crate) fn manifest(&self, path: &str, name: &str) -> Value {
        let answer =
            get(self.address, &format!("/v2/{path}/manifests/{name}"), &[("Accept", MANIFEST)]).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_slice(&answer.body).expect("a manifest is JSON")
    }

    pub(crate) fn blob(&self, path: &str, digest: &str) -> Vec<u8> {
        get(self.address, &format!("/v2/{path}/blobs/{digest}"), &[]).expect("an answer").body
    }

    /// Stores a manifest as it is.
    pub(crate) fn put_manifest(&self, path: &str, tag: &str, manifest: &Value) {
        let body = manifest.to_string();
        let mut stream = TcpStream::connect(self.address).expect("the registry runs");
        let head = format!(
            "PUT /v2/{path}/manifests/{tag} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: {MANIFEST}\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).expect("the registry reads");
        let answer = Response::read(&mut stream).expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.text());
    }

    /// The file in which the registry keeps a blob.
    pub(crate) fn blob_file(&self, digest: &str) -> PathBuf {
        let hex = digest.strip_prefix("sha256:").expect("a digest");
        self.storage.path().join("data/docker/registry/v2/blobs/sha256").join(&hex[..2]).join(hex).join("data")
    }
}

impl Said {
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { out: text(&output.stdout), err: text(&output.stderr), code: output.status.code() }
    }

    /// The standard output of a command that has done its work.
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }
}

impl Lab {
    pub(crate) fn new() -> Self {
        Self::with(Registry::start())
    }

    pub(crate) fn with(registry: Registry) -> Self {
        let lab = Self { registry, home: Folder::new() };
        fs::create_dir(lab.plugins()).expect("our own folder");
        for name in ["a", "b"] {
            let (private, public) = (lab.path(&format!("{name}.key")), lab.path(&format!("{name}.pub")));
            let mut make = Command::new("openssl");
            output(
                make.args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out"]).arg(&private),
            );
            output(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&private).arg("-out").arg(&public));
        }
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// The same as an argument.
    pub(crate) fn at(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub(crate) fn plugins(&self) -> PathBuf {
        self.path("plugins")
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).expect("our own folder");
        self.at(name)
    }

    /// `HOST/PATH` in the registry.
    pub(crate) fn repository(&self, path: &str) -> String {
        format!("{}/{path}", self.registry.address)
    }

    /// A command of a user who has nothing but this home.
    pub(crate) fn command(&self, mut command: Command) -> Command {
        for name in [
            "REGISTRY_AUTH_FILE",
            "XDG_RUNTIME_DIR",
            "XDG_CONFIG_HOME",
            "DOCKER_CONFIG",
            "SOURCE_DATE_EPOCH",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "http_proxy",
            "HTTP_PROXY",
        ] {
            command.env_remove(name);
        }
        command.env("HOME", self.home.path()).env("COSIGN_PASSWORD", "pass phrase").current_dir(self.home.path());
        command
    }

    pub(crate) fn ebhost(&self, args: &[&str]) -> Said {
        let mut command = self.command(Command::new(binary()));
        Said::of(command.args(args))
    }

    /// One of Debian's tools.
    pub(crate) fn tool(&self, name: &str, args: &[&str]) -> Said {
        let mut command = self.command(debian::REGISTRY.command(format!("usr/bin/{name}")));
        Said::of(command.args(args))
    }

    /// A folder with the package runqlat of this version.
    pub(crate) fn package(&self, version: &str) -> PathBuf {
        let folder = self.path(&format!("runqlat-{version}"));
        copy_package(&committed().join("runqlat"), &folder);
        let text = fs::read_to_string(folder.join("plugin.yaml")).expect("a package");
        fs::write(
            folder.join("plugin.yaml"),
            text.replacen("name: runqlat\n", &format!("name: runqlat\nversion: \"{version}\"\n"), 1),
        )
        .expect("our own folder");
        folder
    }

    /// Pushes runqlat of this version, signed by `a`; returns the reference with its digest.
    pub(crate) fn push(&self, version: &str, path: &str, tag: &str) -> String {
        self.push_folder(&self.package(version), &format!("{path}:{tag}"), &["--sign-key", &self.at("a.key")])
    }

    pub(crate) fn push_folder(&self, folder: &Path, to: &str, more: &[&str]) -> String {
        let (folder, to) = (folder.display().to_string(), self.repository(to));
        let pushed = self.ebhost(&[&["push", &folder, &to], more].concat()).done();
        pushed.lines().last().expect("a reference").to_owned()
    }

    /// Pulls into the folder of packages.
    pub(crate) fn pull(&self, args: &[&str]) -> Said {
        let plugins = self.at("plugins");
        self.ebhost(&[&["pull", "--plugins", &plugins], args].concat())
    }

    /// Every file of the folder of packages, with its content.
    pub(crate) fn installed(&self) -> BTreeMap<String, Vec<u8>> {
        files(&self.plugins())
    }

    /// Asserts that a pull is refused with these words, and leaves the folder as it was.
    pub(crate) fn refused(&self, args: &[&str], words: &[&str]) {
        let before = self.installed();
        let said = self.pull(args);
        assert_eq!(said.code, Some(2), "{said:?}");
        for word in words {
            assert!(said.err.contains(word), "no `{word}` in: {}", said.err);
        }
        assert_eq!(said.err.trim().lines().count(), 1, "{}", said.err);
        assert!(self.installed() == before, "{args:?} changed the folder");
    }
}

/// Every file below a folder, hidden ones and empty folders included.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for path in fs::read_dir(&inner).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            let name = path.strip_prefix(folder).expect("it is below").display().to_string();
            if path.is_dir() {
                found.insert(format!("{name}/"), Vec::new());
                folders.push(path);
            } else {
                found.insert(name, fs::read(&path).expect("our own file"));
            }
        }
    }
    found
}

/// The digest of a reference.
pub(crate) fn digest_of(reference: &str) -> &str {
    reference.split_once('@').expect("a digest").1
}
