//! Privileges and the end of the process as a whole.

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io, panic, process,
    sync::OnceLock,
    thread,
};

use rustix::thread::set_no_new_privs;
use tracing::error;

use crate::{capabilities, landlock};

/// Exit status when a thread that the process cannot do without has panicked.
const PANICKED: i32 = 1;

static BEFORE_EXIT: OnceLock<fn()> = OnceLock::new();

/// Gives up every capability, new privileges and (where the kernel has Landlock) every file: for processes that only compute.
///
/// # Errors
/// Something could not be given up; the process must not do its work.
pub fn give_up_all() -> io::Result<()> {
    give_up_all_but(capabilities::NONE)
}

/// Gives up everything but these capabilities, as [`give_up_all`] does: for processes that do one thing.
///
/// # Errors
/// As of [`give_up_all`].
pub fn give_up_all_but(keep: capabilities::Capabilities) -> io::Result<()> {
    capabilities::keep_only(keep)?;
    set_no_new_privs(true)?;
    landlock::deny_all().map_err(io::Error::other)
}

/// Registers `flush`, which is called before the supervision of [`spawn`](crate::spawn) ends the process, so that the reason is written. The first call counts.
pub fn before_exit(flush: fn()) {
    let _ = BEFORE_EXIT.set(flush);
}

/// Installs a panic hook that logs each panic of any thread with its location, through the log that is installed then. Before there is a log it is printed as usual.
pub fn log_panics() {
    let printed = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        if !tracing::dispatcher::has_been_set() {
            return printed(panic);
        }
        let thread = thread::current().name().unwrap_or("?").to_owned();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let message = message(panic.payload());
        // Empty unless RUST_BACKTRACE asks for it.
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => error!(thread, place, "panicked: {message}\n{backtrace}"),
            _ => error!(thread, place, "panicked: {message}"),
        }
    }));
}

/// The text of a panic.
pub(crate) fn message(payload: &(dyn std::any::Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("a panic without a message")
}

/// Ends the process with a non-zero status, after what was logged is written.
pub(crate) fn end() -> ! {
    if let Some(flush) = BEFORE_EXIT.get() {
        flush();
    }
    process::exit(PANICKED)
}
