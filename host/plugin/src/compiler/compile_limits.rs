//! The limits of one compilation, which the host computes and its compiler's process keeps.

use super::number;
use crate::engine::Footprint;
use ebhost_limits as limits;

/// Limits of compiling one component. Bytes of functions alone raise the limits: padding costs nothing to compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CompileLimits {
    pub(super) cpu_seconds: u64,
    pub(super) memory_bytes: u64,
    pub(super) compiled_bytes: u64,
}

impl CompileLimits {
    /// Their length in a frame.
    const BYTES: usize = 3 * 8;

    pub(super) fn of(footprint: &Footprint) -> Self {
        // Rounded up.
        let megabytes = u32::try_from(footprint.code_bytes.div_ceil(1 << 20)).unwrap_or(u32::MAX);
        let memory = limits::COMPILE_BYTES + limits::COMPILE_BYTES_PER_MEGABYTE * u64::from(megabytes);
        Self {
            cpu_seconds: (limits::COMPILE + limits::COMPILE_PER_MEGABYTE.saturating_mul(megabytes)).as_secs(),
            memory_bytes: memory.min(limits::MOST_COMPILE_BYTES),
            compiled_bytes: footprint.compiled_limit() as u64,
        }
    }

    /// The limits on a machine where compiling takes so many times as long: the same work, and so the same memory.
    pub(super) fn on_machine(self, slowness: u32) -> Self {
        Self { cpu_seconds: self.cpu_seconds.saturating_mul(u64::from(slowness)), ..self }
    }

    pub(super) fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let numbers = [self.cpu_seconds, self.memory_bytes, self.compiled_bytes];
        for (place, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes
    }

    /// The limits that a frame begins with, and the component behind them.
    pub(super) fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (numbers, component) = frame.split_at_checked(Self::BYTES)?;
        let number = |index: usize| number(numbers, 8 * index);
        Some((Self { cpu_seconds: number(0), memory_bytes: number(1), compiled_bytes: number(2) }, component))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_functions_raise_the_limits_and_not_without_end() {
        let limits = |code_bytes| CompileLimits::of(&Footprint { code_bytes, ..Footprint::default() });
        assert_eq!((limits(0).cpu_seconds, limits(0).memory_bytes), (10, 512 << 20));
        assert_eq!((limits(1).cpu_seconds, limits(1).memory_bytes), (14, 552 << 20));
        assert_eq!(limits(64 << 20).memory_bytes, 896 << 20);
        assert_eq!(limits(1 << 20).compiled_bytes, 16 << 20);
        assert_eq!(limits(64 << 20).compiled_bytes, 96 << 20);
        assert_eq!(limits(1).on_machine(3), CompileLimits { cpu_seconds: 42, ..limits(1) });
        let frame = [&limits(1).to_bytes()[..], b"component"].concat();
        assert_eq!(CompileLimits::split(&frame), Some((limits(1), &b"component"[..])));
    }
}
