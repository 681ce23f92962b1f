//! One instance of a component: its store, its bounds and its log lines.
//!
//! A trap poisons the store: whoever holds an instance that failed drops it and never calls it again.

mod call_watch;
mod error;
mod instance;
mod log;

use wasmtime::ResourceLimiter;

pub use error::CallError;
pub(crate) use instance::{Instance, StartParameters};
pub(crate) use log::{GuestLog, LogForwarder};

use crate::contract::rows::LogLevel;
use call_watch::CallWatch;
use ebhost_limits as limits;

/// Bytes of a table's element: a pointer.
const ELEMENT_BYTES: usize = 8;

/// The data of a guest's store: its limits and what it logged.
pub(crate) struct Guest {
    memory_limit: usize,
    /// Bytes of all its linear memories, table elements and core instances' contexts together; they never shrink.
    memory: usize,
    table_elements: usize,
    /// Bytes that it asked for when its memory was refused to grow.
    refused_growth: Option<usize>,
    log: GuestLog,
    watch: CallWatch,
}

impl Guest {
    /// `context_bytes`: of its core instances, which exist before any of its code runs.
    fn new(memory_limit: u64, context_bytes: usize) -> Self {
        Self {
            memory_limit: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            memory: context_bytes,
            table_elements: 0,
            refused_growth: None,
            log: GuestLog::default(),
            watch: CallWatch::new(),
        }
    }

    /// Keeps a line that the guest logged.
    pub(crate) fn log(&mut self, level: LogLevel, message: &str) {
        self.log.push(level, message);
    }

    /// Watches the call that runs; the engine calls this from inside the guest.
    pub(crate) fn watch(&mut self) -> &mut CallWatch {
        &mut self.watch
    }
}

impl Guest {
    /// Counts more memory against the limit; whether there is room for it.
    fn take_memory(&mut self, bytes: usize) -> bool {
        let total = self.memory.saturating_add(bytes);
        let has_room = total <= self.memory_limit;
        if has_room {
            self.memory = total;
        } else {
            self.refused_growth = Some(total);
        }
        has_room
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.take_memory(desired.saturating_sub(current)))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > limits::GUEST_TABLE_ELEMENTS || !self.take_memory(desired.saturating_sub(current) * ELEMENT_BYTES) {
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::GUEST_INSTANCES
    }

    fn tables(&self) -> usize {
        limits::GUEST_TABLES
    }

    fn memories(&self) -> usize {
        limits::GUEST_MEMORIES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_may_have_as_many_elements_as_the_limit_says_and_none_more() {
        let most = limits::GUEST_TABLE_ELEMENTS;
        let mut guest = Guest::new(u64::MAX, 0);
        assert!(guest.table_growing(0, most - 1, None).unwrap());
        assert!(!guest.table_growing(0, 2, None).unwrap(), "those of all tables count together");
        assert!(guest.table_growing(most - 1, most, None).unwrap());
        assert!(!guest.table_growing(most, most + 1, None).unwrap());
        assert_eq!(guest.memory, most * ELEMENT_BYTES);
    }

    #[test]
    fn tables_memories_and_contexts_share_the_memory_of_the_package() {
        let mut guest = Guest::new(1_000, 200);
        assert!(guest.memory_growing(0, 400, None).unwrap());
        assert!(guest.table_growing(0, 50, None).unwrap());
        assert!(!guest.memory_growing(400, 401, None).unwrap());
        assert_eq!(guest.refused_growth, Some(1_001));
        assert_eq!((guest.memories(), guest.instances()), (limits::GUEST_MEMORIES, limits::GUEST_INSTANCES));
    }
}
