//! The queue of log lines for standard error, which may be a pipe that nobody reads.
//!
//! A thread of its own writes them. A caller hands its line over and goes on; when the queue is full, the line is dropped and counted. So
//! nothing that is logged, by a guest or by the host, ever makes a scrape wait.
//!
//! A journal reads standard error line by line. It takes a line's severity from a prefix, `<3>` for an error, and makes an entry of each
//! line; so there a message of several lines is written as one.

use std::{
    env,
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use super::recent;
use ebhost_confine::{NONE, Restart};
use ebhost_limits as limits;

static DROPPED: AtomicU64 = AtomicU64::new(0);
static WAITING: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The reader of the log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// A terminal, a file or a pipe: lines are written as they are.
    Plain,
    /// systemd's journal.
    Journal,
}

/// The sending side of the queue; each log message is one `write`.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    queue: SyncSender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
    destination: Destination,
    level: Level,
}

/// Log lines dropped so far because the queue was full.
pub fn dropped_log_lines() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

/// Waits until the queue is written, for a bounded time.
pub fn flush_log() {
    let end = Instant::now() + limits::LOG_FLUSH;
    while WAITING.get().is_some_and(|waiting| waiting.load(Ordering::Acquire) > 0) && Instant::now() < end {
        sleep(Duration::from_millis(1));
    }
}

impl Lines {
    /// Starts the thread that writes to `out`.
    pub(super) fn start(mut out: impl Write + Send + 'static, destination: Destination) -> io::Result<Self> {
        let (queue, lines) = sync_channel::<Vec<u8>>(limits::WAITING_LOG_LINES);
        let waiting = Arc::new(AtomicUsize::new(0));
        let written = waiting.clone();
        let _ = WAITING.set(waiting.clone());
        ebhost_confine::before_exit(flush_log);
        ebhost_confine::spawn("log", NONE, Restart, move || {
            while let Ok(line) = lines.recv() {
                // An error of the log itself cannot be logged.
                let _ = out.write_all(&line);
                written.fetch_sub(1, Ordering::AcqRel);
            }
        })?;
        Ok(Self { queue, waiting, destination, level: Level::INFO })
    }
}

impl Destination {
    /// The destination of standard error. systemd sets `JOURNAL_STREAM` to the device and inode of the journal's stream; they are compared,
    /// because a process inherits the variable even if its output goes elsewhere.
    pub(super) fn of_stderr() -> Self {
        let stream = env::var("JOURNAL_STREAM").unwrap_or_default();
        match rustix::fs::fstat(io::stderr()) {
            Ok(stat) if stream == format!("{}:{}", stat.st_dev, stat.st_ino) => Self::Journal,
            _ => Self::Plain,
        }
    }
}

/// A message as the journal takes it: the severity of syslog as a prefix, and all of it in one line.
fn journal_line(level: Level, message: &[u8]) -> Vec<u8> {
    let severity = match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    };
    let mut line = format!("<{severity}>").into_bytes();
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    for (index, part) in message.split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            line.extend_from_slice(br"\n");
        }
        line.extend_from_slice(part);
    }
    line.push(b'\n');
    line
}

impl Write for Lines {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        recent::remember(message);
        let line = match self.destination {
            Destination::Plain => message.to_vec(),
            Destination::Journal => journal_line(self.level, message),
        };
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(line).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self {
        Self { level: *event.level(), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A pipe that nobody reads.
    struct Stuck(mpsc::Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time() {
        let (free, stuck) = mpsc::channel();
        let mut lines = Lines::start(Stuck(stuck), Destination::Plain).unwrap();
        let before = dropped_log_lines();
        for _ in 0..limits::WAITING_LOG_LINES + 100 {
            lines.write_all(b"x\n").unwrap();
        }
        let dropped = dropped_log_lines() - before;
        assert!((99..=100).contains(&dropped), "one may be in the writer's hand: {dropped}");
        drop(free);
    }

    #[test]
    fn an_error_of_several_lines_is_one_entry_of_the_journal_with_its_severity() {
        assert_eq!(journal_line(Level::ERROR, b"ERROR left out:\n  line 3\n"), b"<3>ERROR left out:\\n  line 3\n");
        assert_eq!(journal_line(Level::WARN, b"x\n"), b"<4>x\n");
        assert_eq!(journal_line(Level::INFO, b"x\n"), b"<6>x\n");
        assert_eq!(journal_line(Level::TRACE, b"x"), b"<7>x\n");
    }
}
