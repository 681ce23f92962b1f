//! Watches a guest while it runs: how long it has run, and how deep its stack is.
//!
//! The engine calls back where compiled code checks the epoch, which is at the entry of each function and in each iteration of a loop:
//! every time at the beginning of an instance's first calls, so that a short call shows its depth, and once a tick after that. This way
//! no guest is slowed down for long, and no pattern need be written to a stack to see how much of it was used.

use std::time::Duration;

use wasmtime::UpdateDeadline;

use crate::clock::CallTimer;
use ebhost_limits as limits;

/// The watch of one store.
#[derive(Debug)]
pub(crate) struct CallWatch {
    timer: CallTimer,
    /// The stack pointer when the guest was entered.
    entry: usize,
    /// The largest stack seen, in bytes.
    deepest: usize,
    /// Callbacks that are still to come at every check of the epoch.
    close_samples: u32,
}

impl CallWatch {
    pub(super) fn new() -> Self {
        Self { timer: CallTimer::start(Duration::ZERO), entry: 0, deepest: 0, close_samples: 0 }
    }

    /// Begins a call that may take as long as `limit`.
    pub(crate) fn begin(&mut self, limit: Duration) {
        (self.timer, self.entry) = (CallTimer::start(limit), stack_pointer());
    }

    /// Samples the next call at every check of the epoch, up to [`limits::CLOSE_LOOKS`] times.
    pub(super) fn sample_every_call(&mut self) {
        self.close_samples = limits::CLOSE_LOOKS;
    }

    /// Ticks until the next sample; 0: at the next check of the epoch.
    pub(crate) fn ticks_to_next_sample(&self) -> u64 {
        u64::from(self.close_samples == 0)
    }

    /// Takes a sample from inside the guest, and says whether the guest may go on.
    pub(crate) fn sample(&mut self) -> UpdateDeadline {
        self.deepest = self.deepest.max(self.entry.saturating_sub(stack_pointer()));
        self.close_samples = self.close_samples.saturating_sub(1);
        if self.timer.is_over() {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(self.ticks_to_next_sample())
        }
    }

    /// The guest's stack overflowed.
    pub(super) fn stack_overflowed(&mut self) {
        self.deepest = limits::GUEST_STACK_BYTES;
    }

    /// The largest stack seen, in bytes.
    pub(super) fn stack_bytes(&self) -> usize {
        self.deepest
    }

    /// Time since the call began.
    pub(super) fn elapsed(&self) -> Duration {
        self.timer.elapsed()
    }
}

/// The address of a local variable: the stack grows down.
#[inline(never)]
fn stack_pointer() -> usize {
    let marker = 0u8;
    std::hint::black_box(&raw const marker) as usize
}
