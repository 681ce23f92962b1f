//! `ebhost top` in a pseudo terminal, which `script` of util-linux provides, and what such a terminal shows.

use std::{
    io::{Read as _, Write as _},
    process::{ChildStdin, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use ebhost_tests::{Running, binary, output, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal with `ebhost top` in it.
pub(crate) struct Terminal {
    process: Running,
    keys: ChildStdin,
    /// Everything that was written to it.
    written: Arc<Mutex<Vec<u8>>>,
    /// Such as /dev/pts/3.
    device: String,
    lines: usize,
}

impl Terminal {
    pub(crate) fn start(columns: usize, lines: usize, args: &[&str]) -> Self {
        let quoted = args.iter().map(|arg| format!("'{arg}'")).collect::<Vec<_>>().join(" ");
        // The shell tells the terminal's name, and afterwards how the command ended and whether the terminal echoes again.
        let inside = format!(
            "stty cols {columns} rows {lines}; echo \"tty=$(tty)=\"; '{}' top {quoted}; echo \"code=$?=\"; stty -a | grep -ow -e '-*echo' -e '-*icanon'",
            binary().display()
        );
        let mut command = Command::new("script");
        command.args(["--quiet", "--flush", "--return", "--command", &inside, "/dev/null"]);
        command.env("TERM", "xterm").env("SHELL", "/bin/sh").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Running::listening(&mut command);
        let keys = process.child().stdin.take().expect("stdin is a pipe");
        let mut out = process.child().stdout.take().expect("stdout is a pipe");
        let written = Arc::new(Mutex::new(Vec::new()));
        let kept = written.clone();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = out.read(&mut bytes) {
                kept.lock().expect("no panic holds it").extend_from_slice(&bytes[..length]);
            }
        });
        let mut terminal = Self { process, keys, written, device: String::new(), lines };
        terminal.device = wait_until("the terminal's name", PATIENCE, || {
            let text = terminal.text();
            Some(text.split_once("tty=")?.1.split_once('=')?.0.to_owned())
        });
        terminal
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("no panic holds it")).into_owned()
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("script reads");
    }

    pub(crate) fn resize(&mut self, columns: usize, lines: usize) {
        self.lines = lines;
        output(Command::new("stty").args([
            "-F",
            &self.device,
            "cols",
            &columns.to_string(),
            "rows",
            &lines.to_string(),
        ]));
    }

    /// Sends SIGTERM to `ebhost top`.
    pub(crate) fn terminate(&self) {
        let terminal = self.device.trim_start_matches("/dev/");
        output(Command::new("pkill").args(["-TERM", "-t", terminal, "-x", "ebhost"]));
    }

    /// Waits until the terminal shows lines that fit; returns them.
    pub(crate) fn shows(&self, what: &str, is_shown: impl Fn(&[String]) -> bool) -> Vec<String> {
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            let lines = shown(&self.text(), self.lines);
            if lines.iter().any(|line| !line.is_empty()) && is_shown(&lines) {
                return lines;
            }
            assert!(std::time::Instant::now() < end, "{what}: not within {PATIENCE:?} in {lines:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until `ebhost top` has ended with status 0, and the terminal is as it was before.
    pub(crate) fn ends_as_it_began(mut self) {
        wait_until("the end", PATIENCE, || self.text().contains("code=").then_some(()));
        let status = self.process.wait(PATIENCE);
        assert!(status.success(), "{status}");
        wait_until("all that was written", PATIENCE, || self.text().contains("icanon").then_some(()));
        let text = self.text();
        assert!(text.contains("code=0="), "{text}");
        let (_, after) = text.rsplit_once("code=").expect("it has ended");
        assert!(after.contains("echo") && after.contains("icanon"), "{after}");
        assert!(!after.contains("-echo") && !after.contains("-icanon"), "{after}");
        // The cursor and the screen of before.
        assert!(text.contains("\x1b[?25h") && text.contains("\x1b[?1049l"), "{text:?}");
    }
}

/// The lines that a terminal shows after this was written to it: `ESC [ LINE ; 1 H` goes to a line, whose text ends at the next.
fn shown(written: &str, lines: usize) -> Vec<String> {
    let since = written.rsplit_once("\x1b[?1049h").map_or("", |(_, since)| since);
    let mut shown = vec![String::new(); lines];
    let mut line = None;
    for part in since.split("\x1b[") {
        let Some(end) = part.find(|c: char| c.is_ascii_alphabetic()) else { continue };
        let (numbers, rest) = part.split_at(end);
        let (command, text) = rest.split_at(1);
        let is_new = command == "H";
        if is_new {
            line = numbers.split(';').next().and_then(|line| line.parse::<usize>().ok()?.checked_sub(1));
        }
        let Some(place) = line.and_then(|line| shown.get_mut(line)) else { continue };
        if is_new {
            place.clear();
        }
        place.push_str(text);
    }
    shown
}
