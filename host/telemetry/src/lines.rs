//! The queue of log lines for standard error, which may be a pipe that nobody reads.
//!
//! A thread of its own writes them. A caller hands its line over and goes on; when the queue is full, the line is dropped and counted. So
//! nothing that is logged, by a guest or by the host, ever makes a scrape wait.

use std::{
    io::{self, Write},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread::sleep,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

use ebhost_confine::{NONE, Restart};
use ebhost_limits as limits;

static DROPPED: AtomicU64 = AtomicU64::new(0);
static WAITING: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// The sending side of the queue; each log line is one `write`.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    queue: SyncSender<Vec<u8>>,
    waiting: Arc<AtomicUsize>,
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
    pub(super) fn start(mut out: impl Write + Send + 'static) -> io::Result<Self> {
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
        Ok(Self { queue, waiting })
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        if self.queue.try_send(line.to_vec()).is_err() {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
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
        let mut lines = Lines::start(Stuck(stuck)).unwrap();
        let before = dropped_log_lines();
        for _ in 0..limits::WAITING_LOG_LINES + 100 {
            lines.write_all(b"x\n").unwrap();
        }
        let dropped = dropped_log_lines() - before;
        assert!((99..=100).contains(&dropped), "one may be in the writer's hand: {dropped}");
        drop(free);
    }
}
