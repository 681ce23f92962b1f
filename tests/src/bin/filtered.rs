//! Runs a command under a seccomp filter, as containers and units do: `filtered ERRNO CALL,CALL COMMAND…`. The calls are answered with that
//! error; all others reach the kernel.

#![allow(unsafe_code, reason = "prctl(2) takes the address of the filter")]

use std::{env, io, os::unix::process::CommandExt as _, process::Command};

/// Classic BPF, as in linux/filter.h and linux/seccomp.h.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [errno, calls, command, rest @ ..] = &args[..] else {
        return Err(io::Error::other("expected ERRNO CALL,CALL COMMAND…"));
    };
    let errno: u32 = errno.parse().map_err(io::Error::other)?;
    let calls = calls.split(',').map(number).collect::<io::Result<Vec<_>>>()?;
    install(&filter(errno, &calls))?;
    Err(Command::new(command).args(rest).exec())
}

fn number(call: &str) -> io::Result<u32> {
    let number = match call {
        "bpf" => libc::SYS_bpf,
        "perf_event_open" => libc::SYS_perf_event_open,
        "landlock" => libc::SYS_landlock_create_ruleset,
        other => return Err(io::Error::other(format!("found `{other}`, expected bpf, perf_event_open or landlock"))),
    };
    u32::try_from(number).map_err(io::Error::other)
}

fn filter(errno: u32, calls: &[u32]) -> Vec<libc::sock_filter> {
    let instruction = |code, jt, k| libc::sock_filter { code, jt, jf: 0, k };
    // The number of the call is the first field of `struct seccomp_data`.
    let mut filter = vec![instruction(LOAD, 0, 0)];
    for (at, call) in calls.iter().enumerate() {
        // To the last instruction: behind the other comparisons, and the one that allows.
        filter.push(instruction(JUMP_IF_EQUAL, (calls.len() - at) as u8, *call));
    }
    filter.push(instruction(RETURN, 0, ALLOW));
    filter.push(instruction(RETURN, 0, ERRNO | errno));
    filter
}

fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: both calls read numbers, and the second the filter, which has the stated length and outlives the call.
    let result = unsafe {
        match libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) {
            0 => libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, std::ptr::from_ref(&program)),
            failed => failed,
        }
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
