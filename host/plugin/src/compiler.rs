//! The compiler, in a process of its own.
//!
//! A component is hostile until proven otherwise, and a few kilobytes of one can keep a compiler busy for hours and fill a machine's
//! memory. A thread cannot be killed from outside and its memory cannot be limited; a process's can. So ebhost forks once, before it has
//! started a thread or opened a file, into a process that gives up every privilege and waits for components. For each component that
//! process forks again, with limits on CPU time and memory, and sends back the compiled form or an error.

#![allow(unsafe_code, reason = "fork has no safe interface")]

mod compile_limits;
mod machine_speed;

use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    process,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    io::Errno,
    process::{Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getrlimit, setrlimit},
};

use self::compile_limits::CompileLimits;
use crate::engine::{self, Footprint};

/// A handle of the compiler's process, which ends when the handle is dropped.
#[derive(Debug)]
pub struct Compiler {
    socket: Mutex<UnixStream>,
}

/// CPU time and memory that compiling a component took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CompileCost {
    pub(crate) cpu: Duration,
    pub(crate) cpu_limit: Duration,
    /// Maximum resident memory.
    pub(crate) memory_bytes: usize,
    pub(crate) memory_limit_bytes: u64,
}

/// Why a component has no compiled form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CompileFault {
    #[error("{0}")]
    Invalid(String),
    #[error(
        "compiling it took more than {0:?} of CPU time, which is too long for its size; a smaller or simpler component compiles sooner"
    )]
    Time(Duration),
    #[error("compiling it took more than {} MiB of memory, which is too much for its size; a smaller or simpler component takes less", .0 >> 20)]
    Memory(u64),
    #[error(
        "its compiled form has {found} bytes, expected at most {expected} for functions and data of its size; a simpler component has less"
    )]
    Size { found: u64, expected: u64 },
    #[error("the compiler's process failed: {0}; restart ebhost if this goes on")]
    Process(String),
}

impl CompileFault {
    /// Whether the machine is at fault and not the component, so that another try may succeed.
    pub(crate) fn is_of_machine(&self) -> bool {
        matches!(self, Self::Process(_))
    }
}

// The first byte of an answer.
const COMPILED: u8 = 0;
const INVALID: u8 = 1;
const TIME: u8 = 2;
const MEMORY: u8 = 3;
const FAILED: u8 = 4;
const SIZE: u8 = 5;

/// Offset of the compiled form, behind the first byte, the CPU time in microseconds, the memory in bytes, and the limit of CPU time in
/// seconds.
const COST_END: usize = 1 + 3 * 8;

impl Compiler {
    /// Forks the process. Call this before any thread is started ([`ebhost_confine::fork_process`]).
    ///
    /// # Errors
    /// The kernel refuses a socket or another process.
    pub fn start() -> io::Result<Self> {
        let socket = ebhost_confine::fork_process(c"ebhost-compiler", serve)?;
        Ok(Self { socket: Mutex::new(socket) })
    }

    /// Compiles a component into the form of `Component::serialize`.
    pub(crate) fn compile(
        &self,
        component: &[u8],
        footprint: &Footprint,
    ) -> Result<(Vec<u8>, CompileCost), CompileFault> {
        let limits = CompileLimits::of(footprint);
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = write_frame(&mut *socket, [&limits.to_bytes(), component]).and_then(|()| read_frame(&mut *socket));
        let mut answer = answer.map_err(|error| CompileFault::Process(error.to_string()))?;
        let text = |answer: &[u8]| String::from_utf8_lossy(&answer[1..]).into_owned();
        match answer.first() {
            Some(&COMPILED) if answer.len() >= COST_END => {
                let cost = CompileCost {
                    cpu: Duration::from_micros(number(&answer, 1)),
                    cpu_limit: Duration::from_secs(number(&answer, 1 + 2 * 8)),
                    memory_bytes: number(&answer, 1 + 8) as usize,
                    memory_limit_bytes: limits.memory_bytes,
                };
                answer.drain(..COST_END); // in its place: it may have tens of megabytes
                Ok((answer, cost))
            }
            Some(&INVALID) => Err(CompileFault::Invalid(text(&answer))),
            Some(&TIME) if answer.len() > 8 => Err(CompileFault::Time(Duration::from_secs(number(&answer, 1)))),
            Some(&MEMORY) => Err(CompileFault::Memory(limits.memory_bytes)),
            Some(&SIZE) if answer.len() > 8 => {
                Err(CompileFault::Size { found: number(&answer, 1), expected: limits.compiled_bytes })
            }
            _ => Err(CompileFault::Process(text(answer.get(..).filter(|answer| !answer.is_empty()).unwrap_or(b"?")))),
        }
    }
}

/// The number whose 8 bytes begin at `at`.
fn number(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

/// Serves components in the compiler's process, until the parent closes its end of the socket.
fn serve(mut socket: UnixStream) {
    let confined = ebhost_confine::give_up_all();
    let mut slowness = None;
    while let Ok(frame) = read_frame(&mut socket) {
        // A compiler that still has privileges compiles nothing.
        let compiled = match (&confined, CompileLimits::split(&frame)) {
            (Ok(()), Some((limits, component))) => {
                let slowness = *slowness.get_or_insert_with(|| measured_slowness(&socket));
                in_child(component, limits.on_machine(slowness), &socket)
            }
            (Ok(()), None) => Err(io::ErrorKind::UnexpectedEof.into()),
            (Err(error), _) => Err(io::Error::other(format!("it cannot give up its privileges: {error}"))),
        };
        let answer = compiled.unwrap_or_else(|error| tagged(FAILED, error.to_string().as_bytes()));
        if write_frame(&mut socket, [&answer]).is_err() {
            return;
        }
    }
}

/// By how much compiling takes longer on this machine than on the one for which the limits were chosen; 1 if that cannot be measured.
fn measured_slowness(socket: &UnixStream) -> u32 {
    let component = machine_speed::reference_component();
    let footprint = Footprint { code_bytes: component.len(), ..Footprint::default() };
    let measure = || match in_child(&component, CompileLimits::of(&footprint), socket).as_deref() {
        Ok([COMPILED, answer @ ..]) if answer.len() >= 8 => Ok(Some(Duration::from_micros(number(answer, 0)))),
        Ok([TIME, ..]) => Ok(None),
        _ => Err(()),
    };
    machine_speed::slowness(measure).unwrap_or(1)
}

/// Compiles in a process that may fail or be killed, and is killed when ebhost closes its end of `socket`.
fn in_child(component: &[u8], limits: CompileLimits, socket: &UnixStream) -> io::Result<Vec<u8>> {
    let (mut result, out) = io::pipe()?;
    let parent = process::id();
    // SAFETY: this process has one thread.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            drop(result);
            compile(component, limits, parent, out);
            process::exit(0);
        }
        child => {
            drop(out);
            let child = Pid::from_raw(child);
            let mut answer = Vec::new();
            let read = wait_for(&result, socket).and_then(|waited| match (waited, child) {
                (Waited::ParentIsGone, Some(child)) => Ok(rustix::process::kill_process(child, Signal::KILL)?),
                _ => result.read_to_end(&mut answer).map(drop),
            });
            let status = rustix::process::waitpid(child, WaitOptions::empty())?;
            read?;
            Ok(status.map_or_else(Vec::new, |(_, status)| answer_of(status, answer, limits)))
        }
    }
}

const KILLED: &str =
    "it was killed by SIGKILL, as the kernel does when the machine or the container is out of memory; try more memory";

/// The event that the compiler's process waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waited {
    Result,
    ParentIsGone,
}

/// Waits for the begin of an answer, or for the end of ebhost. The kernel's signal at a parent's death does not come here: Landlock, which
/// ebhost enforced on itself after the fork, lets it signal no process outside.
fn wait_for(result: &io::PipeReader, socket: &UnixStream) -> io::Result<Waited> {
    let mut events = [PollFd::new(result, PollFlags::IN), PollFd::new(socket, PollFlags::empty())];
    loop {
        match poll(&mut events, None) {
            Ok(_) if !events[0].revents().is_empty() => return Ok(Waited::Result),
            Ok(_) if !events[1].revents().is_empty() => return Ok(Waited::ParentIsGone),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The answer of a process that ended with `status`.
fn answer_of(status: WaitStatus, answer: Vec<u8>, limits: CompileLimits) -> Vec<u8> {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(0), _) if !answer.is_empty() => answer,
        (_, Some(libc::SIGXCPU)) => tagged(TIME, &limits.cpu_seconds.to_le_bytes()),
        // The limits do not kill: somebody else does.
        (_, Some(libc::SIGKILL)) => tagged(FAILED, KILLED.as_bytes()),
        (_, Some(libc::SIGABRT)) => tagged(MEMORY, b""),
        (code, signal) => tagged(FAILED, format!("exit status {code:?}, signal {signal:?}").as_bytes()),
    }
}

fn compile(component: &[u8], limits: CompileLimits, parent: u32, mut out: io::PipeWriter) {
    let limited = rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(io::Error::from)
        .and_then(|()| limit(Resource::Data, limits.memory_bytes))
        .and_then(|()| limit(Resource::Core, 0))
        .and_then(|()| limit_cpu(limits.cpu_seconds));
    if std::os::unix::process::parent_id() != parent {
        return; // it ended before its death could be signalled
    }
    let answer = match limited {
        Err(error) => tagged(FAILED, error.to_string().as_bytes()),
        Ok(()) => match engine::precompile(component) {
            Ok(compiled) if compiled.len() as u64 > limits.compiled_bytes => {
                tagged(SIZE, &(compiled.len() as u64).to_le_bytes())
            }
            Ok(compiled) => {
                let (cpu, memory_bytes) = cost();
                let micros = u64::try_from(cpu.as_micros()).unwrap_or(u64::MAX);
                let cost = [micros, memory_bytes, limits.cpu_seconds].map(u64::to_le_bytes);
                [&[COMPILED], cost.as_flattened(), &compiled].concat()
            }
            Err(error) => tagged(INVALID, format!("{error:#}").as_bytes()),
        },
    };
    // A write fails only if the parent is gone.
    let _ = out.write_all(&answer);
}

/// CPU time and maximum resident memory of this process.
fn cost() -> (Duration, u64) {
    // SAFETY: zero is a valid value of every field, and the kernel writes no more than the struct.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let time =
        |time: libc::timeval| Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64);
    (time(usage.ru_utime) + time(usage.ru_stime), (usage.ru_maxrss as u64) << 10)
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    // A lower limit that is set already stays.
    let most = getrlimit(resource).maximum.map_or(most, |maximum| maximum.min(most));
    Ok(setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?)
}

/// Limits CPU time. At the soft limit the kernel sends SIGXCPU, at the hard one SIGKILL, which must not be taken for that of others.
fn limit_cpu(seconds: u64) -> io::Result<()> {
    let hard = getrlimit(Resource::Cpu).maximum.map_or(seconds + 1, |maximum| maximum.min(seconds + 1));
    Ok(setrlimit(Resource::Cpu, Rlimit { current: Some(seconds.min(hard)), maximum: Some(hard) })?)
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

/// Writes the parts of one frame behind their length.
fn write_frame<const N: usize>(to: &mut impl Write, parts: [&[u8]; N]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    to.write_all(&(length as u64).to_le_bytes())?;
    parts.iter().try_for_each(|part| to.write_all(part))
}

fn read_frame(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    const LIMITS: CompileLimits = CompileLimits { cpu_seconds: 14, memory_bytes: 0, compiled_bytes: 0 };

    /// The answer of a process that sent itself a signal.
    #[allow(clippy::zombie_processes, reason = "rustix waits for it")]
    fn answer_after(signal: &str) -> Vec<u8> {
        let child = Command::new("sh").args(["-c", &format!("kill -{signal} $$")]).spawn().unwrap();
        let status = rustix::process::waitpid(Pid::from_raw(child.id().cast_signed()), WaitOptions::empty()).unwrap();
        answer_of(status.unwrap().1, Vec::new(), LIMITS)
    }

    /// The kernel's OOM killer was reported as too much CPU time.
    #[test]
    fn a_compiler_that_others_killed_did_not_take_too_long() {
        assert_eq!(answer_after("KILL"), tagged(FAILED, KILLED.as_bytes()));
        assert_eq!(answer_after("XCPU"), tagged(TIME, &[14, 0, 0, 0, 0, 0, 0, 0]));
        assert_eq!(answer_after("ABRT"), [MEMORY]);
    }

    /// The parent reads frames that the compiler's process wrote; one that ended in the middle of a frame has given no answer.
    #[test]
    fn a_frame_is_read_as_it_was_written_and_a_part_of_one_is_an_error() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, [b"abc", b"", b"defg"]).unwrap();
        write_frame(&mut bytes, [b""]).unwrap();
        let mut from = bytes.as_slice();
        assert_eq!(read_frame(&mut from).unwrap(), b"abcdefg");
        assert_eq!(read_frame(&mut from).unwrap(), b"");
        assert_eq!(read_frame(&mut from).unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "no frame is left");
        assert_eq!(read_frame(&mut &bytes[..12]).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    /// The outcome of a compilation to which the compiler's process gives this answer.
    fn outcome_of(answer: &[u8]) -> Result<(Vec<u8>, CompileCost), CompileFault> {
        let (socket, mut process) = UnixStream::pair().unwrap();
        // Both frames fit into the socket's buffers.
        write_frame(&mut process, [answer]).unwrap();
        Compiler { socket: Mutex::new(socket) }.compile(b"component", &Footprint::default())
    }

    #[test]
    fn every_answer_of_the_compilers_process_is_understood() {
        let limits = CompileLimits::of(&Footprint::default());
        let numbers = [1_500_000, 7 << 20, 14].map(u64::to_le_bytes);
        let cost = CompileCost {
            cpu: Duration::from_millis(1_500),
            cpu_limit: Duration::from_secs(14),
            memory_bytes: 7 << 20,
            memory_limit_bytes: limits.memory_bytes,
        };
        let compiled = outcome_of(&[&[COMPILED], numbers.as_flattened(), b"form"].concat());
        assert_eq!(compiled, Ok((b"form".to_vec(), cost)));
        for (answer, fault) in [
            (tagged(INVALID, b"why"), CompileFault::Invalid("why".into())),
            (tagged(TIME, &14u64.to_le_bytes()), CompileFault::Time(Duration::from_secs(14))),
            (tagged(MEMORY, b""), CompileFault::Memory(limits.memory_bytes)),
            (tagged(SIZE, &99u64.to_le_bytes()), CompileFault::Size { found: 99, expected: limits.compiled_bytes }),
            (tagged(FAILED, b"why"), CompileFault::Process("why".into())),
        ] {
            assert_eq!(outcome_of(&answer), Err(fault));
        }
        for short in [tagged(COMPILED, b""), tagged(TIME, &[1; 7]), tagged(SIZE, b""), Vec::new()] {
            assert!(outcome_of(&short).is_err_and(|fault| fault.is_of_machine()), "{short:?}");
        }
    }

    #[test]
    fn a_compilation_is_waited_for_until_it_has_an_answer_or_ebhost_has_ended() {
        let (result, mut out) = io::pipe().unwrap();
        let (socket, ebhost) = UnixStream::pair().unwrap();
        drop(ebhost);
        assert_eq!(wait_for(&result, &socket).unwrap(), Waited::ParentIsGone);
        out.write_all(b"answer").unwrap();
        assert_eq!(wait_for(&result, &socket).unwrap(), Waited::Result);
    }
}
