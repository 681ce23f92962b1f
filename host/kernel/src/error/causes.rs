//! From what the kernel answered to a [`LoadError`]: which of all that may refuse a call did so.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{BtfRemedy, LoadError};
use crate::{
    attach::AttachError, externs::DeniedSymbol, load::ProgramError, maps::MapError, objections, rights::Rights,
};
use ebhost_limits::VERIFIER_LOG_LINES;
use ebhost_object::{LinkError, core::Missing, insn::POISON_CORE};

impl LoadError {
    /// A map was not created or opened.
    pub(crate) fn no_map(path: &Path, map: String, error: MapError) -> Self {
        let path = path.to_owned();
        match error {
            MapError::Pin(error) => Self::Pin { path, map, error },
            MapError::NoEntries => Self::NoEntries { path, map },
            MapError::Refused(error) => {
                let why = format!("map `{map}` cannot be created");
                Self::out_of_files(&path, &why, error)
                    .or_else(|error| Self::refused(&path, &why, error))
                    .unwrap_or_else(|error| Self::NoMap { path, map, error })
            }
        }
    }

    /// None of several programs was attached.
    pub(crate) fn no_alternative(path: &Path, tried: Vec<Self>) -> Self {
        Self::NoAlternative { path: path.to_owned(), tried }
    }

    /// A map was created and cannot be read or filled.
    pub(crate) fn unreadable(path: &Path, map: &str, error: io::Error) -> Self {
        Self::Map { path: path.to_owned(), map: map.to_owned(), error }
    }

    /// The kernel, or a seccomp filter, refused: to a thread without the rights, or for reasons of its own. Gives other errors back.
    fn refused(path: &Path, why: &str, error: io::Error) -> Result<Self, io::Error> {
        let rights = Rights::own();
        let filtered = objections::filtered_calls(&rights).filter(|_| rights.include_bpf());
        let (path, why) = (path.to_owned(), why.to_owned());
        match (filtered, error.kind()) {
            (Some(calls), _) if objections::is_refusal(&error) => Ok(Self::Filtered { path, why, calls, error }),
            (_, io::ErrorKind::PermissionDenied) if rights.are_all() => Ok(Self::Denied { path, why, error }),
            (_, io::ErrorKind::PermissionDenied) => Ok(Self::NotPermitted { path, why }),
            _ => Err(error),
        }
    }

    /// The process may not open another file. Gives other errors back.
    fn out_of_files(path: &Path, why: &str, error: io::Error) -> Result<Self, io::Error> {
        match error.raw_os_error() {
            Some(libc::EMFILE) => Ok(Self::TooManyFiles { path: path.to_owned(), why: why.to_owned(), error }),
            _ => Err(error),
        }
    }

    /// A program cannot be linked. `denied`: symbols of modules whose types this thread may not open.
    pub(crate) fn not_linked(path: &Path, program: &str, error: &LinkError, denied: &[DeniedSymbol]) -> Self {
        let (path, program) = (path.to_owned(), program.to_owned());
        match error {
            LinkError::NoSymbol(symbol) => match denied.iter().find(|denied| denied.symbol == *symbol) {
                Some(DeniedSymbol { module, .. }) => {
                    let why = format!(
                        "program `{program}` uses `{symbol}` of the module `{module}`, whose types cannot be opened"
                    );
                    Self::NotPermitted { path, why }
                }
                None => Self::Lacking { path, program, what: format!("the symbol {symbol}") },
            },
            other => Self::Load { path, why: format!("program `{program}`: {other}") },
        }
    }

    /// A program was not loaded. `missing`: accesses that this kernel's types do not have, by the call that replaces each.
    pub(crate) fn not_loaded(path: &Path, program: &str, error: ProgramError, missing: &[Missing]) -> Self {
        let (path, program) = (path.to_owned(), program.to_owned());
        match error {
            ProgramError::NoTarget(why) => Self::Attach { path, program, why },
            ProgramError::NoBtf(why) => Self::NoKernelBtf { path, why, remedy: BtfRemedy::Kernel },
            ProgramError::Refused { log, .. } if refused_call(&log).is_some() => {
                let number = refused_call(&log);
                let access = missing.iter().find(|missing| Some(missing.number) == number);
                let what = access.map_or("a kernel function that it calls", |missing| missing.what.as_str()).to_owned();
                Self::Lacking { path, program, what }
            }
            ProgramError::Refused { error, log } => Self::program_refused(path, program, error, &log),
        }
    }

    fn program_refused(path: PathBuf, program: String, error: io::Error, log: &str) -> Self {
        let why = format!("program `{program}` cannot be loaded");
        let error = match Self::out_of_files(&path, &why, error) {
            Ok(out_of_files) => return out_of_files,
            Err(error) => error,
        };
        if let Some(helper) = objections::hidden_helper(log).filter(|_| objections::is_confidential()) {
            return Self::LockedDown { path, why: format!("{why} with `{helper}`"), error };
        }
        // Without a log the verifier did not see the program.
        if !log.trim().is_empty() {
            return Self::Verifier { path, program, error, log: end_of(log) };
        }
        Self::refused(&path, &why, error).unwrap_or_else(|error| {
            let why = ProgramError::Refused { error, log: String::new() }.to_string();
            Self::Attach { path, program, why }
        })
    }

    /// A program was loaded and not attached.
    pub(crate) fn not_attached(path: &Path, program: &str, error: AttachError) -> Self {
        let why = error.to_string();
        let AttachError::Refused { target, error } = error else {
            let (path, program) = (path.to_owned(), program.to_owned());
            return match error {
                AttachError::NoTarget(_) => Self::NoTarget { path, program, why },
                _ => Self::Attach { path, program, why },
            };
        };
        let not_attached = format!("program `{program}` cannot be attached to {target}");
        if objections::is_locked_down(&error) {
            return Self::LockedDown { path: path.to_owned(), why: not_attached, error };
        }
        Self::out_of_files(path, &not_attached, error)
            .or_else(|error| Self::refused(path, &not_attached, error))
            .unwrap_or_else(|_| Self::Attach { path: path.to_owned(), program: program.to_owned(), why })
    }
}

/// The number of the helper that the verifier does not know, if that is why it refuses a program and the number is one that stands for what
/// the kernel lacks.
fn refused_call(log: &str) -> Option<i32> {
    let (_, rest) = log.rsplit_once("unknown#")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).map_or(rest, |end| &rest[..end]);
    let number: i32 = digits.parse().ok()?;
    (number >= POISON_CORE).then_some(number)
}

/// The last lines of a verifier log: they have the reason.
fn end_of(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(VERIFIER_LOG_LINES)..].join("\n")
}
