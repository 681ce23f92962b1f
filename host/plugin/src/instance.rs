//! One instance of a component: its store, its memory bound, its log lines.
//!
//! A trap poisons the store, so an instance that failed is dropped by whoever holds it and never called again.

use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, Store, component::TypedFunc};

use super::{
    contract::{self, Batch, Manifest, Plugin, Rows, log},
    engine::Compiled,
    watch::Watch,
};
use ebhost_limits as limits;

/// What a guest's store holds: its bounds and what it said.
pub(super) struct Guest {
    memory_limit: usize,
    /// Of all its linear memories together; they never shrink.
    memory: usize,
    table_elements: usize,
    refused_growth: Option<usize>,
    lines: Vec<(log::Level, String)>,
    dropped_lines: u64,
    pub(super) watch: Watch,
}

/// Lines that a guest logged, and how many more it lost.
pub(super) type Said = (Vec<(log::Level, String)>, u64);

/// An instance that has described itself.
pub(super) struct Instance {
    store: Store<Guest>,
    decode: TypedFunc<(Batch,), (Rows,)>,
    compiled: std::sync::Arc<Compiled>,
}

/// Why a call into a guest failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("copied out more than {limit} bytes in one call")]
    Copied { limit: usize },
    #[error("ran past its {limit_ms} ms ({})", last_line(.last))]
    Deadline { limit_ms: u128, last: Option<String> },
    #[error("wanted {wanted} bytes of memory, limits.memory is {limit}")]
    Memory { wanted: usize, limit: usize },
    #[error("called itself too deep: it ran over the end of its {limit} bytes of stack ({})", last_line(.last))]
    Stack { limit: usize, last: Option<String> },
    #[error("trapped: {why} ({})", last_line(.last))]
    Trap { why: String, last: Option<String> },
    #[error("refuses its config: {0}")]
    Refused(String),
    #[error("describes itself otherwise than before: the same config must give the same manifest")]
    Fickle,
}

fn last_line(last: &Option<String>) -> String {
    last.as_ref().map_or_else(|| "it logged nothing".to_owned(), |line| format!("its last log line: {line}"))
}

impl Guest {
    pub(super) fn new(memory_limit: u64) -> Self {
        Self {
            memory_limit: usize::try_from(memory_limit).unwrap_or(usize::MAX),
            memory: 0,
            table_elements: 0,
            refused_growth: None,
            lines: Vec::new(),
            dropped_lines: 0,
            watch: Watch::new(),
        }
    }
}

impl ResourceLimiter for Guest {
    fn memory_growing(&mut self, current: usize, desired: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            self.refused_growth = Some(total);
            return Ok(false);
        }
        self.memory = total;
        Ok(true)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _most: Option<usize>) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > limits::GUEST_TABLE_ELEMENTS {
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

impl log::Host for Guest {
    fn write(&mut self, level: log::Level, mut message: String) {
        // The last line of a call is kept whatever came before: after a trap it is shown as the reason.
        if self.lines.len() >= limits::LOG_LINES_PER_SECOND as usize {
            self.dropped_lines += 1;
            self.lines.pop();
        }
        message.truncate(message.floor_char_boundary(limits::LOG_BYTES));
        self.lines.push((level, plain(message)));
    }
}

/// A guest's text as one line that moves no cursor and begins no line of its own.
pub(super) fn plain(text: String) -> String {
    if text.chars().any(char::is_control) {
        text.chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
            .collect()
    } else {
        text
    }
}

impl Instance {
    /// Instantiates and asks for the manifest, which the contract makes the first call of every instance.
    pub(super) fn start(
        compiled: &std::sync::Arc<Compiled>,
        config: &str,
        memory_limit: u64,
        time: Duration,
    ) -> Result<(Self, Manifest), CallError> {
        let mut store = compiled.engine.store(Guest::new(memory_limit));
        store.data_mut().watch.look_closely();
        let described = compiled.engine.timed(&mut store, time, |store| {
            let instance = compiled.pre.instance_pre().instantiate(&mut *store)?;
            let plugin = Plugin::new(&mut *store, &instance)?;
            let manifest = plugin.ebhost_plugin_decoder().call_describe(&mut *store, config)?;
            let decoder = format!("{}/decoder@{}", contract::PACKAGE, contract::VERSION);
            let decoder = instance.get_export_index(&mut *store, None, &decoder);
            let decode = instance.get_export_index(&mut *store, decoder.as_ref(), contract::DECODE);
            let decode = decode.ok_or_else(|| wasmtime::format_err!("`{}` has gone", contract::DECODE))?;
            Ok((instance.get_typed_func(&mut *store, decode)?, manifest))
        });
        match described {
            Ok((decode, Ok(manifest))) => {
                // At its first batch, too.
                store.data_mut().watch.look_closely();
                Ok((Self { store, decode, compiled: compiled.clone() }, manifest))
            }
            Ok((_, Err(mut reason))) => {
                reason.truncate(reason.floor_char_boundary(limits::REFUSAL_BYTES));
                Err(CallError::Refused(plain(reason)))
            }
            Err(error) => Err(failure(&mut store, &error, time)),
        }
    }

    /// Asks for the labels of a batch; and says how long that took.
    pub(super) fn decode(&mut self, batch: Batch, limit: Duration) -> (Result<Rows, CallError>, Duration) {
        let started = Instant::now();
        let decode = &self.decode;
        let rows = self.compiled.engine.timed(&mut self.store, limit, |store| {
            store.set_hostcall_fuel(limits::ANSWER_BYTES);
            decode.call(store, (batch,))
        });
        let rows = rows.map(|(rows,)| rows).map_err(|error| failure(&mut self.store, &error, limit));
        (rows, started.elapsed())
    }

    /// Bytes of linear memory it has now.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().memory
    }

    /// The deepest that its native stack was seen.
    pub(super) fn stack_bytes(&self) -> usize {
        self.store.data().watch.stack_bytes()
    }

    /// Lines it logged since the last time, and how many it lost.
    pub(super) fn take_lines(&mut self) -> Said {
        let guest = self.store.data_mut();
        (std::mem::take(&mut guest.lines), std::mem::take(&mut guest.dropped_lines))
    }
}

fn failure(store: &mut Store<Guest>, error: &wasmtime::Error, limit: Duration) -> CallError {
    let guest = store.data_mut();
    let last = guest.lines.last().map(|(_, line)| line.clone());
    match error.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => CallError::Deadline { limit_ms: limit.as_millis(), last },
        Some(wasmtime::Trap::StackOverflow) => {
            guest.watch.overran_stack();
            CallError::Stack { limit: limits::GUEST_STACK_BYTES, last }
        }
        _ if reason(error).contains("fuel allocated for hostcalls") => {
            CallError::Copied { limit: limits::ANSWER_BYTES }
        }
        _ => match guest.refused_growth {
            Some(wanted) => CallError::Memory { wanted, limit: guest.memory_limit },
            None => CallError::Trap { why: reason(error), last },
        },
    }
}

/// The innermost cause: the outer ones only list the guest's frames.
fn reason(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}
