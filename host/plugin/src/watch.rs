//! What is looked at while a guest runs: how long it has run, and how deep its stack is.
//!
//! The engine calls back where compiled code looks at the epoch, at the beginning of each function and each round of a loop: for
//! the first calls and rounds of an instance each time, so that a short call shows its depth, and then once a tick. Nothing is
//! slowed down by it for longer than that, and no pattern need be written to a stack to see how far it was used.

use std::time::{Duration, Instant};

use wasmtime::UpdateDeadline;

use ebhost_limits as limits;

/// One store's watch.
#[derive(Debug)]
pub(super) struct Watch {
    until: Instant,
    /// Where the stack was when the guest was entered.
    entered: usize,
    deepest: usize,
    /// Calls and rounds that are still looked at one by one.
    close_looks: u32,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { until: Instant::now(), entered: 0, deepest: 0, close_looks: 0 }
    }

    /// Begins a call that may take so long.
    pub(super) fn begin(&mut self, time: Duration) {
        (self.until, self.entered) = (Instant::now() + time, here());
    }

    /// The next call is looked at closely.
    pub(super) fn look_closely(&mut self) {
        self.close_looks = limits::CLOSE_LOOKS;
    }

    /// How many ticks from now the next look is due: none, if the very next one.
    pub(super) fn next_look(&self) -> u64 {
        u64::from(self.close_looks == 0)
    }

    /// A look from inside the guest.
    pub(super) fn look(&mut self) -> UpdateDeadline {
        self.deepest = self.deepest.max(self.entered.saturating_sub(here()));
        self.close_looks = self.close_looks.saturating_sub(1);
        if Instant::now() >= self.until {
            UpdateDeadline::Interrupt
        } else {
            UpdateDeadline::Continue(self.next_look())
        }
    }

    /// The guest has run over the end of its stack.
    pub(super) fn overran_stack(&mut self) {
        self.deepest = limits::GUEST_STACK_BYTES;
    }

    pub(super) fn stack_bytes(&self) -> usize {
        self.deepest
    }
}

/// Where the stack is now: it grows down.
#[inline(never)]
fn here() -> usize {
    let marker = 0u8;
    std::hint::black_box(&raw const marker) as usize
}
