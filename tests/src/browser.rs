//! Debian's Chromium without a window, driven by the DevTools protocol over a pair of pipes.
//!
//! It keeps everything that the page complained about and asked for: a test that drives a page ends by
//! [`assert_clean`](Browser::assert_clean).

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::PathBuf,
    process::{ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    folder::{Folder, target},
    process::{Running, wait_until},
};

/// Long, because the machine may be under load.
const ANSWER: Duration = Duration::from_secs(60);

/// Chromium takes the pipes as its descriptors 3 and 4.
const START: &str = "exec chromium \"$@\" 3<&0 4>&1 0</dev/null 1>/dev/null 2>&1";

/// A browser with one page. Ended on drop.
#[derive(Debug)]
pub struct Browser {
    process: Running,
    input: ChildStdin,
    messages: Receiver<Value>,
    session: String,
    calls: u64,
    login: Option<Login>,
    /// Errors on the console, exceptions, and violations of the page's policy.
    complaints: Vec<String>,
    /// Addresses of all requests.
    requested: Vec<String>,
    _profile: Folder,
}

/// The user and password that are typed when the browser asks for them.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: &'static str,
    pub password: &'static str,
}

impl Browser {
    /// Opens an empty page of 1280 by 900 pixels.
    pub fn open() -> Self {
        let profile = Folder::new();
        let mut command = Command::new("sh");
        command.args(["-c", START, "sh", "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]);
        command.args(["--hide-scrollbars", "--no-first-run", "--disable-background-networking", "--disable-sync"]);
        command.arg(format!("--user-data-dir={}", profile.path().display())).arg("about:blank");
        // It leaves folders there.
        command.env("TMPDIR", profile.path());
        let mut process = Running::listening(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let input = process.child().stdin.take().expect("stdin is a pipe");
        let mut output = BufReader::new(process.child().stdout.take().expect("stdout is a pipe"));
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut bytes = Vec::new();
            while output.read_until(0, &mut bytes).is_ok_and(|read| read > 0) {
                let message = serde_json::from_slice(bytes.strip_suffix(&[0]).unwrap_or(&bytes));
                if message.is_ok_and(|message| sender.send(message).is_err()) {
                    return;
                }
                bytes.clear();
            }
        });
        let (session, calls, login) = (String::new(), 0, None);
        let (complaints, requested) = (Vec::new(), Vec::new());
        let mut browser =
            Self { process, input, messages, session, calls, login, complaints, requested, _profile: profile };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", &json!({ "targetId": target["targetId"], "flatten": true }));
        attached["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.resize(1280, 900);
        browser
    }

    /// Answers the browser's question for a password.
    pub fn log_in_as(&mut self, login: Login) {
        self.login = Some(login);
        self.call("Fetch.enable", &json!({ "handleAuthRequests": true }));
    }

    /// Takes any certificate, as the person does who has made it.
    pub fn trust_certificates(&mut self) {
        self.call("Security.setIgnoreCertificateErrors", &json!({ "ignore": true }));
    }

    pub fn resize(&mut self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Colours as the system prefers them: `dark` or `light`.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", &features);
    }

    pub fn go(&mut self, url: &str) {
        let gone = self.call("Page.navigate", &json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
    }

    /// The value of an expression, or of what it promises.
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until an expression is neither false nor nothing, and returns its value.
    pub fn wait_for(&mut self, expression: &str, time: Duration) -> Value {
        let what = format!("`{expression}` in the browser");
        let mut found = || {
            thread::sleep(Duration::from_millis(80));
            let value =
                self.evaluate(&format!("(() => {{ try {{ return {expression} }} catch {{ return null }} }})()"));
            let is_there = !matches!(value, Value::Null | Value::Bool(false)) && value != "";
            is_there.then_some(value)
        };
        wait_until(&what, time, &mut found)
    }

    /// Presses and releases a key, such as `ArrowUp` or ` `.
    pub fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            let text = if key.len() == 1 && kind == "keyDown" { key } else { "" };
            self.call("Input.dispatchKeyEvent", &json!({ "type": kind, "key": key, "text": text }));
        }
    }

    pub fn move_pointer(&mut self, x: f64, y: f64) {
        self.call("Input.dispatchMouseEvent", &json!({ "type": "mouseMoved", "x": x, "y": y }));
    }

    /// Keeps a picture of what is visible in `target/page/NAME.png`.
    pub fn screenshot(&mut self, name: &str) -> PathBuf {
        let picture = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let folder = target().join("page");
        fs::create_dir_all(&folder).expect("the build folder is ours");
        let file = folder.join(format!("{name}.png"));
        fs::write(&file, base64(picture["data"].as_str().expect("a picture"))).expect("the build folder is ours");
        file
    }

    /// Forgets complaints, for a test that has caused them.
    pub fn forget_complaints(&mut self) -> Vec<String> {
        self.evaluate("0");
        std::mem::take(&mut self.complaints)
    }

    /// Nothing was complained about, and nothing was asked for but addresses that begin with `origin`.
    pub fn assert_clean(&mut self, origin: &str) {
        self.evaluate("0"); // what was said by now is read
        assert!(self.complaints.is_empty(), "{:#?}", self.complaints);
        let elsewhere: Vec<_> = self.requested.iter().filter(|url| !url.starts_with(origin)).collect();
        assert!(elsewhere.is_empty(), "requests to elsewhere: {elsewhere:?}");
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        let number = self.send(method, params);
        loop {
            let mut message = match self.messages.recv_timeout(ANSWER) {
                Ok(message) => message,
                Err(error) => panic!("{method}: {error}; the browser: {:?}", self.process.ended()),
            };
            if message["id"] == number {
                assert!(message["error"].is_null(), "{method} {params}: {message}");
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn send(&mut self, method: &str, params: &Value) -> u64 {
        self.calls += 1;
        let mut message = json!({ "id": self.calls, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.input.write_all(format!("{message}\0").as_bytes()).expect("the browser reads");
        self.calls
    }

    fn note(&mut self, message: &Value) {
        let params = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Network.requestWillBeSent" => {
                self.requested.push(params["request"]["url"].as_str().unwrap_or_default().to_owned());
            }
            "Runtime.exceptionThrown" => self.complaints.push(params["exceptionDetails"].to_string()),
            "Runtime.consoleAPICalled" if params["type"] != "log" => self.complaints.push(params.to_string()),
            "Log.entryAdded" => self.complaints.push(params["entry"].to_string()),
            "Fetch.requestPaused" => {
                let request = json!({ "requestId": params["requestId"] });
                self.send("Fetch.continueRequest", &request);
            }
            "Fetch.authRequired" => {
                let response = match &self.login {
                    Some(Login { user, password }) => {
                        json!({ "response": "ProvideCredentials", "username": user, "password": password })
                    }
                    None => json!({ "response": "CancelAuth" }),
                };
                let answer = json!({ "requestId": params["requestId"], "authChallengeResponse": response });
                self.send("Fetch.continueWithAuth", &answer);
            }
            _ => {}
        }
    }
}

/// Bytes of their base64 form.
fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let sixes: Vec<u8> = text.bytes().filter(|byte| *byte != b'=').map(value).collect();
    let bytes = sixes.chunks(4).flat_map(|four| {
        let number = (0..4).fold(0u32, |number, at| number << 6 | u32::from(four.get(at).copied().unwrap_or(0)));
        number.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read() {
        assert_eq!(base64("YQ=="), b"a");
        assert_eq!(base64("YWI="), b"ab");
        assert_eq!(base64("YWJj+/8="), b"abc\xfb\xff");
    }
}
