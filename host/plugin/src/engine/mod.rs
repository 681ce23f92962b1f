//! The engine: turns the bytes of a component into one that can be instantiated, or says why not.
//!
//! It decides what a guest may be: a component (not a core module) of a contract version that this host serves, with no import but
//! `log`. It runs none of it.

mod error;
mod footprint;
mod header;
mod ticker;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use wasmtime::{
    Config,
    component::{Component, Linker},
};

pub use error::ComponentError;
use footprint::FootprintError;
pub(crate) use footprint::{Footprint, Instantiated};
use ticker::Ticker;

use crate::{
    cache::{self, Cache},
    compiler::{CompileCost, CompileFault, Compiler},
    contract::{self, BoundComponent, Contract},
    guest::Guest,
};
use ebhost_limits as limits;
use ebhost_package::{Artefact, Digest};
use ebhost_telemetry::one_line;

/// Compiles components and drives the clock that bounds their calls.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<Guest>>,
    ticker: Ticker,
    cache: Option<Cache>,
    compiler: Option<Arc<Compiler>>,
    shared: Arc<Mutex<Vec<SharedComponent>>>,
}

/// A component that packages have in common, as long as any of them runs.
struct SharedComponent {
    path: PathBuf,
    digest: Digest,
    component: Weak<CompiledComponent>,
}

/// A component that is ready to be instantiated.
pub struct CompiledComponent {
    component: Box<dyn BoundComponent>,
    engine: Engine,
    path: PathBuf,
    bytes: usize,
    footprint: Footprint,
    compiled_bytes: usize,
    cost: Option<CompileCost>,
}

/// A compiled form that is loaded.
struct LoadedForm {
    component: Component,
    bytes: usize,
    /// `None`: it was in the cache, or this process compiled it.
    cost: Option<CompileCost>,
}

impl CompiledComponent {
    pub(crate) fn component(&self) -> &dyn BoundComponent {
        self.component.as_ref()
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The file that it was compiled from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Size of the file.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The cost of one instance to the host.
    pub(crate) fn instantiated(&self) -> Instantiated {
        self.footprint.instantiated
    }

    /// Bytes of records that the host keeps of it.
    pub(crate) fn metadata_bytes(&self) -> usize {
        self.footprint.metadata_bytes()
    }

    /// Size of its compiled form, as a part of what it may have.
    pub(crate) fn compiled_share(&self) -> f64 {
        self.compiled_bytes as f64 / self.footprint.compiled_limit() as f64
    }

    /// Cost of compiling it; `None`: it was in the cache, or this process compiled it.
    pub(crate) fn cost(&self) -> Option<CompileCost> {
        self.cost
    }
}

impl Engine {
    /// Makes an engine that keeps compiled components in the folder `cache` (`None`: it compiles each time) and has them compiled by
    /// `compiler` (`None`: by this process, without bounds).
    ///
    /// # Errors
    /// [`ComponentError::Engine`] and [`ComponentError::Ticker`].
    pub fn new(cache: Option<&Path>, compiler: Option<Arc<Compiler>>) -> Result<Self, ComponentError> {
        let unusable = |error: wasmtime::Error| ComponentError::Engine(error.into());
        let engine = wasmtime::Engine::new(&config()).map_err(unusable)?;
        let mut linker = Linker::new(&engine);
        contract::add_imports(&mut linker).map_err(unusable)?;
        let ticker = Ticker::start(engine.clone()).map_err(ComponentError::Ticker)?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            ticker,
            cache: cache.and_then(Cache::open),
            compiler,
            shared: Arc::default(),
        })
    }

    /// Compiles and links a package's component. It runs nothing of it. Packages with the same component, as all that are labelled by
    /// configuration have, share its code.
    ///
    /// # Errors
    /// All but [`ComponentError::Engine`] and [`ComponentError::Ticker`].
    pub fn compile(&self, artefact: &Artefact) -> Result<Arc<CompiledComponent>, ComponentError> {
        let shared = || self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |known: &&SharedComponent| known.path == artefact.path && known.digest == artefact.digest;
        if let Some(known) = shared().iter().find(is_same).and_then(|known| known.component.upgrade()) {
            return Ok(known);
        }
        let compiled = Arc::new(self.compile_alone(artefact)?);
        let (path, digest, component) = (artefact.path.clone(), artefact.digest, Arc::downgrade(&compiled));
        let mut shared = shared();
        shared.retain(|known| known.component.strong_count() > 0);
        shared.push(SharedComponent { path, digest, component });
        Ok(compiled)
    }

    fn compile_alone(&self, artefact: &Artefact) -> Result<CompiledComponent, ComponentError> {
        let path = &artefact.path;
        header::check(path, &artefact.bytes)?;
        let invalid = |why: &str| ComponentError::Invalid { path: path.clone(), why: one_line(why, limits::LOG_BYTES) };
        let footprint = Footprint::read(&artefact.bytes).map_err(|error| match error {
            FootprintError::Unreadable(why) => invalid(&why),
            error => ComponentError::TooLarge { path: path.clone(), source: error.into() },
        })?;
        let loaded = self.component(&artefact.bytes, &footprint).map_err(|fault| match fault {
            CompileFault::Invalid(why) => invalid(&why),
            fault if fault.is_of_machine() => ComponentError::Compiler { path: path.clone(), source: fault.into() },
            fault => ComponentError::Compile { path: path.clone(), source: fault.into() },
        })?;
        let LoadedForm { component, bytes: compiled_bytes, cost } = loaded;
        let contract = self.contract_of(path, &component)?;
        let mismatch = |error: wasmtime::Error| ComponentError::Mismatch {
            path: path.clone(),
            version: contract.version(),
            source: error.into(),
        };
        let component = self.linker.instantiate_pre(&component).map_err(mismatch)?;
        let component = contract.bind(component).map_err(mismatch)?;
        let (engine, bytes) = (self.clone(), artefact.bytes.len());
        Ok(CompiledComponent { component, engine, path: path.clone(), bytes, footprint, compiled_bytes, cost })
    }

    /// Makes the store of a new instance.
    pub(crate) fn store(&self, guest: Guest) -> wasmtime::Store<Guest> {
        let mut store = wasmtime::Store::new(&self.engine, guest);
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(limits::ANSWER_BYTES);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().watch().sample()));
        store
    }

    /// Runs `call`, during which guests in `store` may run as long as `limit`.
    pub(crate) fn timed<T>(
        &self,
        store: &mut wasmtime::Store<Guest>,
        limit: Duration,
        call: impl FnOnce(&mut wasmtime::Store<Guest>) -> T,
    ) -> T {
        let watch = store.data_mut().watch();
        watch.begin(limit);
        let ticks = watch.ticks_to_next_sample();
        store.set_epoch_deadline(ticks);
        let _ticking = self.ticker.run();
        call(store)
    }

    /// The compiled form of a component, from the cache if it has it.
    fn component(&self, bytes: &[u8], footprint: &Footprint) -> Result<LoadedForm, CompileFault> {
        if let Some((component, bytes)) = self.cache.as_ref().and_then(|cache| cache.find(&self.engine, bytes)) {
            return Ok(LoadedForm { component, bytes, cost: None });
        }
        let (compiled, cost) = match &self.compiler {
            Some(compiler) => compiler.compile(bytes, footprint).map(|(compiled, cost)| (compiled, Some(cost)))?,
            None => {
                let compiled = self.engine.precompile_component(bytes);
                (compiled.map_err(|error| CompileFault::Invalid(format!("{error:#}")))?, None)
            }
        };
        if let Some(cache) = &self.cache {
            cache.keep(&self.engine, bytes, &compiled);
        }
        let component = cache::load(&self.engine, &compiled);
        let component = component.map_err(|error| CompileFault::Process(format!("{error:#}")))?;
        Ok(LoadedForm { component, bytes: compiled.len(), cost })
    }

    /// The contract version that serves a component, which imports nothing that it may not.
    fn contract_of(&self, path: &Path, component: &Component) -> Result<&'static dyn Contract, ComponentError> {
        let shape = component.component_type();
        let imports =
            shape.imports(&self.engine).map(|(name, _)| name).filter(|name| !contract::is_allowed_import(name));
        if let Some(imports) = listed(imports) {
            return Err(ComponentError::Import { path: path.to_owned(), imports });
        }
        let exports: Vec<_> = shape.exports(&self.engine).map(|(export, _)| export).collect();
        contract::detect(&exports).map_err(|found| ComponentError::OtherContract { path: path.to_owned(), found })
    }
}

/// The engine's only configuration: compiled forms made by another do not fit.
fn config() -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .max_wasm_stack(limits::GUEST_STACK_BYTES)
        .memory_init_cow(true)
        // A decoder is small and many may be loaded: an address-space reservation of this size holds most memories
        // without a move and keeps bounds checks cheap.
        .memory_reservation_for_growth(0);
    config
}

/// Compiles a component, without bounds on time and memory: for a process that is bounded.
pub(crate) fn precompile(component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    wasmtime::Engine::new(&config())?.precompile_component(component)
}

/// A component's names in backquotes, so many of them and no more; `None`: there are none.
pub(crate) fn listed<'a>(mut names: impl Iterator<Item = &'a str>) -> Option<String> {
    const SHOWN: usize = 16;
    let shown: Vec<_> =
        names.by_ref().take(SHOWN).map(|name| format!("`{}`", one_line(name, limits::NAME_BYTES_SHOWN))).collect();
    let more = names.count();
    match (shown.len(), more) {
        (0, _) => None,
        (_, 0) => Some(shown.join(", ")),
        _ => Some(format!("{} and {more} more", shown.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_made_by_the_compilers_process_is_loaded_and_one_whose_guests_could_not_be_interrupted_is_not() {
        let engine = wasmtime::Engine::new(&config()).unwrap();
        let component = wat::parse_str("(component)").unwrap();
        assert!(cache::load(&engine, &precompile(&component).unwrap()).is_ok());
        let other = wasmtime::Engine::default().precompile_component(&component).unwrap();
        assert!(cache::load(&engine, &other).is_err());
    }
}
