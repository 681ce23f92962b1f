//! System calls without a safe interface. All `unsafe` of this library is here, in `maps` and in `program`.

#![allow(unsafe_code, reason = "bpf(2) has no safe form here")]

use std::{
    fs::File,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::{fs::OpenOptionsExt as _, process::CommandExt},
    },
    process::Command,
};

/// Makes the kernel kill the process when the thread that started it ends, so that a killed test leaves nothing behind.
pub(crate) fn die_with_us(command: &mut Command) -> &mut Command {
    let kill = || {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).map_err(io::Error::from)
    };
    // SAFETY: between fork and exec this makes one system call, and neither allocates nor locks.
    unsafe { command.pre_exec(kill) }
}

/// Requests to the loop driver.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LoopControl {
    Add = 0x4c80,
    Remove = 0x4c81,
}

/// Adds a loop device with this number and nothing behind it, or removes it.
pub(crate) fn control_loop(command: LoopControl, number: u32) -> io::Result<()> {
    let control = File::options().read(true).write(true).open("/dev/loop-control")?;
    // SAFETY: both requests take a number and touch no memory of ours.
    let result = unsafe { libc::ioctl(control.as_raw_fd(), command as libc::c_ulong, number) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether the kernel has a BPF program with this id. Needs CAP_SYS_ADMIN.
pub fn program_exists(id: u32) -> bool {
    const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
    // SAFETY: the kernel reads the number and two flags.
    let Err(error) = (unsafe { bpf_fd(BPF_PROG_GET_FD_BY_ID, &mut [id, 0, 0]) }) else { return true };
    assert_eq!(error.raw_os_error(), Some(libc::ENOENT), "BPF program {id} cannot be asked for: {error}");
    false
}

/// A command of bpf(2).
///
/// SAFETY: `attr` must be what `command` takes, with addresses that are good for what the kernel does there.
pub(crate) unsafe fn bpf<T>(command: libc::c_long, attr: &mut T) -> io::Result<libc::c_long> {
    // SAFETY: by this function's contract.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attr), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for a command that returns a file descriptor.
///
/// SAFETY: as for [`bpf`], and `command` must return a new file descriptor.
pub(crate) unsafe fn bpf_fd<T>(command: libc::c_long, attr: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: by this function's contract; a new descriptor is nobody else's.
    unsafe { bpf(command, attr).map(|fd| OwnedFd::from_raw_fd(fd as i32)) }
}

/// Moves this thread, and no other, into a new network namespace.
pub(crate) fn leave_network_namespace() -> io::Result<()> {
    // SAFETY: the flag changes no memory and no descriptor, and other threads stay where they are.
    Ok(unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }?)
}

/// Creates a TUN device in the network namespace of this thread. Each read and write of the file is a packet, without a header before it;
/// neither waits. The device is gone when the file is closed.
pub(crate) fn create_tun(name: &str) -> io::Result<File> {
    let file = File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    let mut request = [0_u8; size_of::<libc::ifreq>()];
    request[..name.len()].copy_from_slice(name.as_bytes());
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as u16;
    request[libc::IFNAMSIZ..libc::IFNAMSIZ + 2].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the kernel reads and writes an ifreq, which is what it gets.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(file) }
}
