//! Reads the lines that `ebhost --log.format json` writes to standard error, as they come.

use std::{
    io::{BufRead, BufReader, Read},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use serde_json::Value;

/// One line of the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// `ERROR`, `INFO` …; empty if the line is not JSON.
    pub level: String,
    /// The message, followed by every other field as ` name=value`; or the line itself if it is not JSON.
    pub text: String,
    fields: Value,
}

/// The lines so far, and the thread that adds to them.
#[derive(Debug)]
pub struct Log {
    lines: Arc<Mutex<Vec<Line>>>,
    reader: Option<JoinHandle<()>>,
}

impl Line {
    fn parse(line: &str) -> Self {
        let Ok(json) = serde_json::from_str::<Value>(line) else {
            return Self { level: String::new(), text: line.to_owned(), fields: Value::Null };
        };
        let fields = json["fields"].clone();
        let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let mut text = fields["message"].as_str().unwrap_or_default().to_owned();
        for (name, value) in fields.as_object().into_iter().flatten().filter(|(name, _)| *name != "message") {
            text.push_str(&format!(" {name}={}", shown(value)));
        }
        Self { level: json["level"].as_str().unwrap_or_default().to_owned(), text, fields }
    }

    /// A field of the event.
    pub fn field(&self, name: &str) -> &Value {
        &self.fields[name]
    }
}

impl Log {
    pub(crate) fn follow(stderr: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let seen = lines.clone();
        let reader = thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Line::parse(&line));
            }
        });
        Self { lines, reader: Some(reader) }
    }

    /// Waits until the writer closes the stream.
    pub(crate) fn finish(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("reading lines does not panic");
        }
    }

    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The whole log as text, for messages.
    pub fn text(&self) -> String {
        self.lines().iter().map(|line| format!("{} {}\n", line.level, line.text)).collect()
    }
}
