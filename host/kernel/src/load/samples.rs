//! Programs that the host itself causes to run: at samples of a perf event, and once after everything is attached.

use std::os::fd::OwnedFd;

use super::{Loading, open};
use crate::{
    LoadError,
    attach::{link::RunBy, probe},
    loaded::Program,
    perf::PerfReader,
};
use ebhost_package::perf::{Event, Rate};

impl Loading<'_> {
    /// Runs a program at the samples of the perf source that names it, or of its section's own event.
    ///
    /// # Errors
    /// Neither names an event, or the section's own event can be opened on no CPU. It is tried again at every read all the same.
    pub(super) fn sample(
        &self,
        program: &str,
        own: Option<&(Event, Rate)>,
        file: OwnedFd,
        readers: &mut Vec<PerfReader>,
    ) -> Result<(), LoadError> {
        let named = self.perf.iter().find_map(|(name, perf)| {
            let samples = perf.samples.as_ref().filter(|samples| samples.program == program)?;
            Some((name, samples.rate))
        });
        let (at, rate) = match (named, own) {
            (Some((name, rate)), _) => (readers.iter().position(|reader| reader.name == *name), rate),
            (None, Some((event, rate))) => {
                readers.push(PerfReader::new(program, std::slice::from_ref(event), self.context.opener()));
                (readers.len().checked_sub(1), *rate)
            }
            (None, None) => {
                return Err(LoadError::NoEvent { path: self.path().to_owned(), program: program.to_owned() });
            }
        };
        if let Some(reader) = at.and_then(|at| readers.get_mut(at)) {
            reader.run(rate, file);
            open(reader);
            if named.is_none() {
                return self.check_opened(program, reader);
            }
        }
        Ok(())
    }
}

impl Loading<'_> {
    fn check_opened(&self, program: &str, reader: &PerfReader) -> Result<(), LoadError> {
        if reader.is_open() {
            return Ok(());
        }
        let reason = reader.states().find_map(|event| event.reason).unwrap_or("no CPU is online");
        let (path, program) = (self.path().to_owned(), program.to_owned());
        Err(LoadError::Attach { path, program, why: format!("its event is open on no CPU: {reason}") })
    }
}

/// Runs the programs that are attached to the host's mark, now that all programs are attached, and detaches them.
pub(super) fn run_marked(programs: &mut [Program]) {
    let is_marked = |program: &Program| program.links.run == RunBy::Mark;
    if programs.iter().any(is_marked) {
        probe::run_mark();
    }
    programs.iter_mut().filter(|program| is_marked(program)).for_each(|program| program.links.files.clear());
}
