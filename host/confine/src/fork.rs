//! Processes that keep one privilege, or none, apart from the process that runs plugins.

#![allow(unsafe_code, reason = "fork has no safe interface")]

use std::{ffi::CStr, io, os::unix::net::UnixStream, process};

use rustix::process::Signal;

/// Forks a process that runs `serve` with its end of a socket, and ends; returns the other end. It has this name, ends with its parent, and
/// ignores the signals that a terminal sends to both. Call this before any thread is started: a forked process has one thread, and locks
/// that other threads held at the fork would never be released in it.
///
/// # Errors
/// The kernel refuses a socket or another process.
pub fn fork_process(name: &CStr, serve: impl FnOnce(UnixStream)) -> io::Result<UnixStream> {
    let (socket, theirs) = UnixStream::pair()?;
    // SAFETY: callers ensure that there is one thread, so the child is a consistent copy of this process.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(socket);
            settle(name);
            serve(theirs);
            process::exit(0);
        }
        _ => Ok(socket),
    }
}

fn settle(name: &CStr) {
    let named = rustix::thread::set_name(name);
    let with_parent = rustix::process::set_parent_process_death_signal(Some(Signal::KILL));
    if let Err(error) = named.and(with_parent) {
        tracing::debug!("the process {} has no name, or does not end with its parent: {error}", name.to_string_lossy());
    }
    for signal in [libc::SIGHUP, libc::SIGINT] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}
