//! The kernel's run statistics of BPF programs (`BPF_ENABLE_STATS`): run time and count of every program on the machine.
//!
//! Switching them on takes CAP_SYS_ADMIN, which no thread beside the guests may have. So a process of its own does that, and can do
//! nothing else: it has that one capability, no file, and understands two bytes.

use std::{
    io::{self, Read as _, Write as _},
    os::{fd::OwnedFd, unix::net::UnixStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ebhost_confine::Capabilities;
use ebhost_limits as limits;

/// Statistics are on while this is held. Each run of any program then costs two more clock reads.
#[derive(Debug)]
pub struct StatisticsOn {
    _held: OwnedFd,
}

/// Switches run statistics on. They are held on by a descriptor, so they are off again when the process ends, however it ends.
///
/// # Errors
/// The kernel refuses: it takes CAP_SYS_ADMIN.
pub fn switch_on_statistics() -> io::Result<StatisticsOn> {
    let held = aya::sys::enable_stats(aya::sys::Stats::RunTime).map_err(|error| error.io_error)?;
    Ok(StatisticsOn { _held: held })
}

/// A handle of the process that switches statistics on for a while. It ends when the handle is dropped.
#[derive(Debug)]
pub struct StatisticsProcess {
    socket: Mutex<UnixStream>,
}

/// Statistics are on until this is dropped.
#[derive(Debug)]
pub struct StatisticsWindow {
    process: Arc<StatisticsProcess>,
}

const OFF: u8 = 0;
const ON: u8 = 1;

impl StatisticsProcess {
    /// Forks the process. Call this before any thread is started ([`ebhost_confine::fork_process`]).
    ///
    /// # Errors
    /// The kernel refuses a socket or another process.
    pub fn start() -> io::Result<Self> {
        let socket = ebhost_confine::fork_process(c"ebhost-stats", serve)?;
        socket.set_read_timeout(Some(limits::STATISTICS_ANSWER))?;
        Ok(Self { socket: Mutex::new(socket) })
    }

    /// Switches statistics on.
    ///
    /// # Errors
    /// The process lacks CAP_SYS_ADMIN, because ebhost was started without, or does not answer.
    pub fn open_window(self: &Arc<Self>) -> io::Result<StatisticsWindow> {
        self.order(ON)?;
        Ok(StatisticsWindow { process: self.clone() })
    }

    fn socket(&self) -> MutexGuard<'_, UnixStream> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, order: u8) -> io::Result<()> {
        let mut socket = self.socket();
        socket.write_all(&[order])?;
        let mut answer = [0; 4];
        socket.read_exact(&mut answer)?;
        match i32::from_le_bytes(answer) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(error)),
        }
    }
}

impl Drop for StatisticsWindow {
    fn drop(&mut self) {
        // A process that does not answer has ended, and with it its statistics.
        let _ = self.process.order(OFF);
    }
}

/// Serves orders until the parent closes its end of the socket.
fn serve(mut socket: UnixStream) {
    let confined = ebhost_confine::give_up_all_but(Capabilities::SYS_ADMIN);
    let mut held = None;
    let mut order = [0];
    while socket.read_exact(&mut order).is_ok() {
        let done = match (&confined, order[0]) {
            (Err(error), _) => Err(io::Error::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EPERM))),
            (Ok(()), ON) => switch_on_statistics().map(|on| held = Some(on)),
            (Ok(()), _) => {
                held = None;
                Ok(())
            }
        };
        let error = done.err().map_or(0, |error| error.raw_os_error().unwrap_or(libc::EIO));
        if socket.write_all(&error.to_le_bytes()).is_err() {
            return;
        }
    }
    drop(held);
}
