//! A token service as large registries have one: it exchanges a password or a refresh token for a token that the registry believes.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use ebhost_tests::{Folder, output};
use serde_json::{Value, json};

/// `ada:secret` in base64.
const BASIC: &str = "Basic YWRhOnNlY3JldA==";

/// The refresh token of the same user.
pub(crate) const REFRESH: &str = "refresh-me";

pub(crate) struct TokenService {
    pub(crate) address: SocketAddr,
    /// Head and body of every request.
    asked: Arc<Mutex<Vec<String>>>,
    keys: Arc<Folder>,
}

impl TokenService {
    pub(crate) fn start() -> Self {
        let keys = Arc::new(Folder::new());
        let mut make = Command::new("openssl");
        make.args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=lab", "-keyout", "key.pem", "-out",
            "cert.pem",
        ]);
        output(make.current_dir(keys.path()).stderr(Stdio::null()));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, folder) = (asked.clone(), keys.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, folder.path(), &log); // who went away needs no answer
            }
        });
        Self { address, asked, keys }
    }

    /// The lines of a registry's configuration that trust this service.
    pub(crate) fn configuration(&self) -> String {
        let certificate = self.keys.path().join("cert.pem");
        format!(
            "auth: {{ token: {{ realm: 'http://{}/token', service: lab, issuer: lab, rootcertbundle: {} }} }}\n",
            self.address,
            certificate.display()
        )
    }

    /// The requests since the last call.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().expect("no thread has panicked"))
    }
}

fn answer(stream: TcpStream, keys: &Path, log: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line.trim().is_empty() {
            break;
        }
        request += &line;
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    request += &String::from_utf8_lossy(&body);
    let request = request.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",");
    log.lock().expect("no thread has panicked").push(request.clone());
    let scope = request.split("scope=").nth(1).unwrap_or_default().split(['&', ' ', '\r']).next().unwrap_or_default();
    let knows = request.contains(BASIC) || request.contains(&format!("refresh_token={REFRESH}"));
    let (status, text) = match (knows, request.starts_with("POST")) {
        (false, true) => ("401 Unauthorized", json!({"errors": [{"code": "UNAUTHORIZED"}]})),
        _ if request.contains("Basic") && !knows => ("401 Unauthorized", json!({"errors": [{"code": "UNAUTHORIZED"}]})),
        // Registries give strangers a token, too, with which nothing is allowed.
        _ => ("200 OK", json!({ "access_token": token(keys, scope, knows) })),
    };
    let text = text.to_string();
    write!(
        reader.into_inner(),
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    )
}

/// A JSON web token for `TYPE:NAME:ACTIONS`.
fn token(keys: &Path, scope: &str, knows: bool) -> String {
    let mut parts = scope.splitn(2, ':');
    let kind = parts.next().unwrap_or_default();
    let (name, actions) = parts.next().and_then(|rest| rest.rsplit_once(':')).unwrap_or_default();
    let actions: Vec<&str> = if knows { actions.split(',').collect() } else { Vec::new() };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs();
    let pem = fs::read_to_string(keys.join("cert.pem")).expect("a certificate");
    let der: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
    let claims = json!({
        "iss": "lab", "sub": "ada", "aud": "lab", "exp": now + 300, "nbf": now - 10, "iat": now - 10, "jti": "1",
        "access": [{"type": kind, "name": name, "actions": actions}],
    });
    let encoded = |value: &Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    format!("{signed}.{}", base64url(&sign(&keys.join("key.pem"), signed.as_bytes())))
}

fn sign(key: &PathBuf, bytes: &[u8]) -> Vec<u8> {
    let mut openssl = Command::new("openssl");
    let openssl = openssl.args(["dgst", "-sha256", "-sign"]).arg(key).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = openssl.spawn().expect("openssl runs");
    child.stdin.take().expect("a pipe").write_all(bytes).expect("openssl reads");
    child.wait_with_output().expect("openssl ends").stdout
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digits = |chunk: &[u8]| {
        let bits = chunk.iter().chain(&[0, 0]).take(3).fold(0_usize, |bits, byte| bits << 8 | usize::from(*byte));
        let all = [18, 12, 6, 0].map(|shift| char::from(DIGITS[bits >> shift & 63]));
        all.into_iter().take(chunk.len() + 1).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}
