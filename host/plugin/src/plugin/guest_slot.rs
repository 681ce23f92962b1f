//! The instance that a plugin has, if any: starting it, calling it, and counting what it did.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Pace, PluginLimits, Scrape,
    background_start::{BackgroundStart, StartState},
    recent::{Peaks, RecentPeaks},
    start_policy::StartPolicy,
    tally::Tally,
};
use crate::{
    clock,
    contract::{declared::Manifest, rows::Rows},
    decode::{DecodeError, DecodeRequest, SpanAnswer, SpanRequest, copied_bytes},
    engine::CompiledComponent,
    guest::{CallError, Instance, LogForwarder, StartParameters},
};
use ebhost_limits as limits;

/// A component and, while it is healthy, an instance of it.
pub(super) struct GuestSlot {
    package: String,
    pub(super) compiled: Arc<CompiledComponent>,
    config: String,
    pub(super) limits: PluginLimits,
    /// The manifest of the first instance, which every later one must return too.
    manifest: Manifest,
    instance: Option<Instance>,
    /// The start of the next instance, if no scrape has time for it.
    background: Option<BackgroundStart>,
    /// Why such a start failed, until the next call.
    failed_start: Option<CallError>,
    /// When an instance was last called or started.
    used_at: Instant,
    /// Whether there is no instance only because it was not needed.
    is_resting: bool,
    /// Calls of `decode` in this instance, or in the last one.
    calls_in_instance: u32,
    pub(super) start_policy: StartPolicy,
    pub(super) log: LogForwarder,
    pub(super) tally: Tally,
    pub(super) recent: RecentPeaks,
}

impl GuestSlot {
    /// Starts the first instance.
    pub(super) fn start(
        package: &str,
        compiled: Arc<CompiledComponent>,
        config: &str,
        limits: PluginLimits,
    ) -> Result<Self, CallError> {
        let began = clock::now();
        let time_limit = limits.first_start_limit();
        let parameters = StartParameters { config, memory_limit: limits.memory_bytes, time_limit };
        let (mut instance, manifest) = Instance::start(&compiled, parameters)?;
        let first_start = clock::now().saturating_duration_since(began);
        let mut tally = Tally { instances: 1, ..Tally::default() };
        tally.note_usage(instance.memory_bytes(), instance.stack_bytes());
        let mut log = LogForwarder::default();
        tally.dropped_lines += log.forward(package, instance.take_log(), began);
        Ok(Self {
            package: package.to_owned(),
            compiled,
            config: config.to_owned(),
            limits,
            manifest,
            instance: Some(instance),
            background: None,
            failed_start: None,
            used_at: clock::now(),
            is_resting: false,
            calls_in_instance: 0,
            start_policy: StartPolicy::new(first_start, clock::now()),
            log,
            tally,
            recent: RecentPeaks::default(),
        })
    }

    /// Bytes of linear memory of the present instance.
    pub(super) fn memory_bytes(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory_bytes)
    }

    pub(super) fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Whether there is an instance, or time to start one before `until`. Where there is not, a start begins that no scrape waits for.
    pub(super) fn is_ready(&mut self, until: Instant) -> bool {
        if self.limits.pace == Pace::Replay {
            return true;
        }
        self.take_background_start();
        if self.instance.is_some() || self.failed_start.is_some() {
            return true;
        }
        if self.background.is_some() {
            return false;
        }
        let now = clock::now();
        let fits = self.start_policy.fits(now, until);
        if !fits && self.start_policy.is_paid_for(now) {
            self.start_in_background();
        }
        fits
    }

    /// Calls `decode`, in a new instance if there is none.
    pub(super) fn decode(&mut self, request: DecodeRequest, scrape: Scrape) -> Result<Rows, DecodeError> {
        let rows = self.call(request.count, scrape, |instance, limit| instance.decode(request, limit))?;
        self.tally.note_answer(&rows);
        let answer =
            Peaks { answer_bytes: copied_bytes(&rows), label_bytes: rows.dictionary.longest(), ..Peaks::default() };
        self.recent.note(scrape.began, answer);
        Ok(rows)
    }

    /// Calls `decode` of spans, in a new instance if there is none.
    pub(super) fn spans(&mut self, request: SpanRequest, scrape: Scrape) -> Result<SpanAnswer, DecodeError> {
        let events = request.lengths.len();
        let mut answer = self.call(events, scrape, |instance, limit| instance.spans(request, limit))?;
        let beyond = answer.bound(events);
        self.tally.spans += answer.spans.len() as u64;
        self.tally.spans_beyond_limit += beyond as u64;
        Ok(answer)
    }

    fn call<T>(
        &mut self,
        entries: usize,
        scrape: Scrape,
        call: impl FnOnce(&mut Instance, Duration) -> (Result<T, CallError>, Duration),
    ) -> Result<T, DecodeError> {
        let limit = self.limits.call_limit();
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => match self.failed_start.take() {
                Some(error) => return Err(DecodeError::Start(error)),
                None => self.restart(scrape.restart_until).map_err(DecodeError::Start)?,
            },
        };
        self.calls_in_instance += 1;
        self.used_at = scrape.began;
        let (answer, time) = call(&mut instance, limit);
        self.note_call(&mut instance, entries, time, scrape.began);
        self.instance = Some(instance);
        Ok(answer?)
    }

    /// Whether the last call was the first one in its instance, so that no call before it can be its cause.
    pub(super) fn was_first_call(&self) -> bool {
        self.calls_in_instance <= 1
    }

    /// Drops an instance that was not needed for a while, unless it takes long to start. Returns whether there was one.
    pub(super) fn rest(&mut self, now: Instant) -> bool {
        let is_due = self.instance.is_some()
            && now.saturating_duration_since(self.used_at) >= limits::IDLE_INSTANCE
            && self.start_policy.first_start() <= limits::IDLE_START;
        if is_due {
            self.instance = None;
            self.is_resting = true;
        }
        is_due
    }

    /// Drops the instance after a failure: it may be in any state.
    pub(super) fn discard(&mut self) {
        self.instance = None;
    }

    /// Starts another instance, which has to be ready by `until`: a scrape waits for it.
    fn restart(&mut self, until: Instant) -> Result<Instance, CallError> {
        self.tally.instances += u64::from(!std::mem::take(&mut self.is_resting));
        self.calls_in_instance = 0;
        let began = clock::now();
        let left = until.saturating_duration_since(began);
        let parameters = StartParameters {
            config: &self.config,
            memory_limit: self.limits.memory_bytes,
            time_limit: self.limits.later_start_limit(self.start_policy, left),
        };
        let started = Instance::start(&self.compiled, parameters);
        let now = clock::now();
        self.start_policy.note_start(now.saturating_duration_since(began), now);
        self.check_manifest(started)
    }

    fn check_manifest(&self, started: Result<(Instance, Manifest), CallError>) -> Result<Instance, CallError> {
        let (instance, manifest) = started?;
        if manifest == self.manifest { Ok(instance) } else { Err(CallError::ManifestChanged) }
    }

    fn start_in_background(&mut self) {
        let time_limit = self.start_policy.time_limit();
        let (compiled, config) = (self.compiled.clone(), self.config.clone());
        self.background = BackgroundStart::begin(compiled, config, self.limits.memory_bytes, time_limit);
        if self.background.is_some() {
            self.tally.instances += u64::from(!std::mem::take(&mut self.is_resting));
            self.calls_in_instance = 0;
        }
    }

    fn take_background_start(&mut self) {
        match self.background.as_ref().map(BackgroundStart::state) {
            None | Some(StartState::Going) => return,
            Some(StartState::Lost) => {}
            Some(StartState::Ended(started)) => {
                self.start_policy.note_start(started.took, started.ended);
                match self.check_manifest(started.outcome) {
                    Ok(instance) => (self.instance, self.used_at) = (Some(instance), clock::now()),
                    Err(error) => self.failed_start = Some(error),
                }
            }
        }
        self.background = None;
    }

    fn note_call(&mut self, instance: &mut Instance, entries: usize, time: Duration, now: Instant) {
        self.tally.count_call(entries, time);
        self.tally.note_usage(instance.memory_bytes(), instance.stack_bytes());
        self.tally.dropped_lines += self.log.forward(&self.package, instance.take_log(), now);
        let call = Peaks {
            call: time,
            entries,
            memory_bytes: instance.memory_bytes(),
            stack_bytes: instance.stack_bytes(),
            log_lines: self.log.of_second(now),
            ..Peaks::default()
        };
        self.recent.note(now, call);
    }
}
