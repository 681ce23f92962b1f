//! The loop of `ebhost top` in a terminal: readings arrive from a thread of their own, so that keys are answered while a host is not.

use std::{
    future::poll_fn,
    io::{self, Read as _, Stdout, Write},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    task::Poll,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use termion::{
    clear, color, cursor,
    event::{Event, Key, parse_event},
    raw::{IntoRawMode as _, RawTerminal},
    screen::{AlternateScreen, IntoAlternateScreen as _},
    style,
};
use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{Signal, SignalKind, signal},
    time::timeout,
};

use super::{
    TopError,
    args::View,
    draw::{self, Line, Size, Style},
    reading::{Reader, Reading},
    screen::{Reaction, Screen},
};
use ebhost_confine::{Abandon, NONE};
use ebhost_limits as limits;

/// Shows the host until the user quits, or a signal asks for it. The terminal is as before when this returns.
pub(super) fn show(reader: Reader, screen: Screen, interval: Duration) -> Result<(), TopError> {
    let mut signals = Signals::receive().map_err(TopError::Signals)?;
    let readings = Readings::start(reader, screen.view, interval).map_err(TopError::Thread)?;
    let terminal = Terminal::open().map_err(TopError::Terminal)?;
    run(terminal, screen, &readings, &mut signals).map_err(TopError::Terminal)
}

fn run(mut terminal: Terminal, mut screen: Screen, readings: &Readings, signals: &mut Signals) -> io::Result<()> {
    let mut drawn: Option<(Instant, Size)> = None;
    let mut first = 0;
    loop {
        let (is_new, size) = (readings.take_into(&mut screen), Terminal::size()?);
        // The age of the numbers is part of the screen.
        let is_current = |(at, of): (Instant, Size)| of == size && at.elapsed() < Duration::from_secs(1);
        if is_new || !drawn.is_some_and(is_current) {
            terminal.draw(&draw::lines(&screen, size, &mut first))?;
            drawn = Some((Instant::now(), size));
        }
        if signals.ask_to_end() {
            return Ok(());
        }
        let Some(keys) = Terminal::keys()? else { return Ok(()) };
        for key in keys {
            match screen.press(key) {
                Reaction::Quit => return Ok(()),
                Reaction::Read => readings.ask(screen.view),
                Reaction::None => {}
            }
            drawn = None;
        }
    }
}

/// The terminal on standard input and output, without echo and with a screen of its own until this is dropped.
struct Terminal {
    out: AlternateScreen<RawTerminal<Stdout>>,
}

impl Terminal {
    fn open() -> io::Result<Self> {
        let mut out = io::stdout().into_raw_mode()?.into_alternate_screen()?;
        write!(out, "{}{}", cursor::Hide, clear::All)?;
        Ok(Self { out })
    }

    /// Its size; one that does not know it has 24 lines of 80 characters.
    fn size() -> io::Result<Size> {
        let (columns, lines) = termion::terminal_size()?;
        if columns == 0 || lines == 0 {
            return Ok(Size { columns: 80, lines: 24 });
        }
        Ok(Size { columns: usize::from(columns), lines: usize::from(lines) })
    }

    /// Draws every line in its place, so that nothing flickers.
    fn draw(&mut self, lines: &[Line]) -> io::Result<()> {
        let mut text = Vec::new();
        for (line, number) in lines.iter().zip(1..) {
            write!(text, "{}", cursor::Goto(1, number))?;
            match line.style {
                Style::Plain => write!(text, "{}", line.text)?,
                Style::Bold => write!(text, "{}{}{}", style::Bold, line.text, style::Reset)?,
                Style::Bad => write!(text, "{}{}{}", color::Fg(color::Red), line.text, color::Fg(color::Reset))?,
                Style::Marked => write!(text, "{}{}{}", style::Invert, line.text, style::Reset)?,
            }
            write!(text, "{}", clear::UntilNewline)?;
        }
        write!(text, "{}", clear::AfterCursor)?;
        self.out.write_all(&text)?;
        self.out.flush()
    }

    /// Waits a moment for keys. None: the terminal is gone.
    fn keys() -> io::Result<Option<Vec<Key>>> {
        let stdin = io::stdin();
        let mut wait = [PollFd::new(&stdin, PollFlags::IN)];
        let time = Timespec { tv_sec: 0, tv_nsec: i64::from(limits::TOP_KEYS.subsec_nanos()) };
        match poll(&mut wait, Some(&time)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Some(Vec::new())),
            ready => drop(ready?),
        }
        let mut bytes = [0; 256];
        let length = stdin.lock().read(&mut bytes)?;
        Ok((length > 0).then(|| parse_keys(&bytes[..length])))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Whoever closed the terminal does not see its cursor either.
        let _ = write!(self.out, "{}", cursor::Show);
    }
}

/// The keys in what a terminal sent. A lone escape byte is the key Esc; the bytes of other keys arrive together.
fn parse_keys(bytes: &[u8]) -> Vec<Key> {
    let mut rest = bytes.iter().copied().map(Ok).peekable();
    let mut keys = Vec::new();
    while let Some(Ok(byte)) = rest.next() {
        if byte == 0x1b && rest.peek().is_none() {
            keys.push(Key::Esc);
        } else if let Ok(Event::Key(key)) = parse_event(byte, &mut rest) {
            keys.push(key);
        }
    }
    keys
}

/// Readings from a thread of their own.
struct Readings {
    views: Sender<View>,
    readings: Receiver<Result<Reading, String>>,
}

impl Readings {
    fn start(mut reader: Reader, mut view: View, interval: Duration) -> io::Result<Self> {
        let (views, asked) = mpsc::channel();
        let (done, readings) = mpsc::channel();
        let read = move || {
            loop {
                let reading = reader.read(view).map_err(|error| error.to_string());
                if done.send(reading).is_err() {
                    return;
                }
                match asked.recv_timeout(interval) {
                    Ok(other) => view = asked.try_iter().last().unwrap_or(other),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        };
        // It is never joined: a host that does not answer must not hold up the end.
        drop(ebhost_confine::spawn("readings", NONE, Abandon, read)?);
        Ok(Self { views, readings })
    }

    /// Asks for a reading of this view at once.
    fn ask(&self, view: View) {
        // A thread that ended sends no readings, and the screen says how old its numbers are.
        let _ = self.views.send(view);
    }

    /// Gives the screen what was read since; true if there was something.
    fn take_into(&self, screen: &mut Screen) -> bool {
        self.readings.try_iter().map(|reading| screen.take(reading)).count() > 0
    }
}

/// Signals that end the process, which must not leave the terminal without echo.
struct Signals {
    runtime: Runtime,
    signals: [Signal; 2],
}

impl Signals {
    fn receive() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let kinds = [SignalKind::terminate(), SignalKind::hangup()];
        let [terminate, hangup] = runtime.block_on(async { kinds.map(signal) });
        Ok(Self { runtime, signals: [terminate?, hangup?] })
    }

    /// Whether one has come.
    fn ask_to_end(&mut self) -> bool {
        let signals = &mut self.signals;
        let any = poll_fn(|context| {
            let has_come = |signal: &mut Signal| signal.poll_recv(context).is_ready();
            if signals.iter_mut().any(has_come) { Poll::Ready(()) } else { Poll::Pending }
        });
        self.runtime.block_on(async { timeout(Duration::from_millis(1), any).await }).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_an_escape_by_itself() {
        assert_eq!(parse_keys(b"q"), [Key::Char('q')]);
        assert_eq!(parse_keys(b"\x1b"), [Key::Esc]);
        assert_eq!(
            parse_keys(b"\x1b[A\x1b[6~/x\r"),
            [Key::Up, Key::PageDown, Key::Char('/'), Key::Char('x'), Key::Char('\n')]
        );
        assert_eq!(parse_keys(b"\x03\x7f\t\x1b[Z"), [Key::Ctrl('c'), Key::Backspace, Key::Char('\t'), Key::BackTab]);
    }
}
