//! An instance that has described itself, and the calls into it.

use std::{sync::Arc, time::Duration};

use wasmtime::Store;

use super::{CallError, Guest, GuestLog, error::CallLimits};
use crate::{
    contract::{Decoder, Described, declared::Manifest, rows::Rows},
    decode::{DecodeRequest, SpanAnswer, SpanRequest},
    engine::CompiledComponent,
};
use ebhost_limits as limits;
use ebhost_telemetry::one_line;

/// A component's instance: a store and the function `decode` in it.
pub(crate) struct Instance {
    store: Store<Guest>,
    decoder: Box<dyn Decoder>,
    compiled: Arc<CompiledComponent>,
}

/// Parameters of a new instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StartParameters<'a> {
    /// JSON object.
    pub(crate) config: &'a str,
    /// Bytes of all its linear memories, table elements and core instances' contexts.
    pub(crate) memory_limit: u64,
    /// Limit of instantiation and `describe` together.
    pub(crate) time_limit: Duration,
}

impl Instance {
    /// Instantiates the component and asks it for its manifest.
    ///
    /// # Errors
    /// It trapped, exceeded a limit or refused its config.
    pub(crate) fn start(
        compiled: &Arc<CompiledComponent>,
        parameters: StartParameters<'_>,
    ) -> Result<(Self, Manifest), CallError> {
        let StartParameters { config, memory_limit, time_limit } = parameters;
        let context_bytes = compiled.instantiated().context_bytes;
        let limit = usize::try_from(memory_limit).unwrap_or(usize::MAX);
        if context_bytes > limit {
            return Err(CallError::Memory { wanted: context_bytes, limit });
        }
        let mut store = compiled.engine().store(Guest::new(memory_limit, context_bytes));
        store.set_hostcall_fuel(limits::MANIFEST_BYTES);
        store.data_mut().watch.sample_every_call();
        let described =
            compiled.engine().timed(&mut store, time_limit, |store| compiled.component().describe(store, config));
        match described {
            Ok(Described::Manifest(manifest, decoder)) => {
                // The first batch shows how deep the stack gets, too.
                store.data_mut().watch.sample_every_call();
                Ok((Self { store, decoder, compiled: compiled.clone() }, manifest))
            }
            Ok(Described::ConfigRefused(reason)) => {
                Err(CallError::ConfigRefused(one_line(&reason, limits::REFUSAL_BYTES)))
            }
            Err(error) => Err(CallError::new(&mut store, &error, CallLimits::of_describe(time_limit))),
        }
    }

    /// Calls `decode`. The time is that of the call, whether it succeeds or not.
    pub(crate) fn decode(&mut self, request: DecodeRequest, limit: Duration) -> (Result<Rows, CallError>, Duration) {
        self.call(limit, |decoder, store| decoder.decode(store, request))
    }

    /// Calls `decode` of spans. The time is that of the call, whether it succeeds or not.
    pub(crate) fn spans(&mut self, request: SpanRequest, limit: Duration) -> (Result<SpanAnswer, CallError>, Duration) {
        self.call(limit, |decoder, store| decoder.spans(store, request))
    }

    fn call<T>(
        &mut self,
        limit: Duration,
        call: impl FnOnce(&dyn Decoder, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> (Result<T, CallError>, Duration) {
        // A growth that was refused in an earlier call is not why this one fails.
        self.store.data_mut().refused_growth = None;
        let decoder = &*self.decoder;
        let answer = self.compiled.engine().timed(&mut self.store, limit, |store| {
            store.set_hostcall_fuel(limits::ANSWER_BYTES);
            call(decoder, store)
        });
        let time = self.store.data().watch.elapsed();
        (answer.map_err(|error| CallError::new(&mut self.store, &error, CallLimits::of_decode(limit))), time)
    }

    /// Bytes of all its linear memories, table elements and core instances' contexts.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory
    }

    /// The largest native stack seen, in bytes.
    pub(crate) fn stack_bytes(&self) -> usize {
        self.store.data().watch.stack_bytes()
    }

    /// Takes what it logged since the last time.
    pub(crate) fn take_log(&mut self) -> GuestLog {
        std::mem::take(&mut self.store.data_mut().log)
    }
}
