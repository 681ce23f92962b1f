//! The engine: turns the bytes of a component into one that can be instantiated, or says why not.
//!
//! It decides what a guest may be: a component (not a core module) of a contract version that is spoken here, with no
//! import but `log`. A ticker thread moves the epoch while guests run and sleeps while none does, so an idle host
//! makes no wake-ups.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use wasmtime::{
    Config,
    component::{Component, HasSelf, Linker},
};

use super::{
    cache::{self, Cache},
    compiler::{CompileCost, CompileFault, Compiler},
    contract::{self, PluginPre},
    instance::Guest,
};
use ebhost_confine as privileges;
use ebhost_limits as limits;
use ebhost_package::Artefact;

/// How often the epoch moves while a guest runs: the grain of every deadline.
const TICK: Duration = Duration::from_millis(5);

/// Compiles components and keeps the clock that bounds their calls.
#[derive(Clone)]
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Arc<Linker<Guest>>,
    ticker: Ticker,
    cache: Option<Cache>,
    compiler: Option<Arc<Compiler>>,
}

/// A component that is ready to be instantiated.
pub struct Compiled {
    pub(super) pre: PluginPre<Guest>,
    pub(super) engine: Engine,
    pub path: PathBuf,
    /// Size of the component.
    pub(super) bytes: usize,
    /// None: it was in the cache, or this process compiled it.
    pub(super) cost: Option<CompileCost>,
}

/// Why a file is not a component of this contract.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    #[error("the WASM engine cannot be set up: {0}")]
    Engine(String),
    #[error("the ticker thread cannot be started: {0}")]
    Ticker(io::Error),
    #[error(
        "{path}: found a core module, expected a component: make one with `wasm-tools component new`, or link with `wasm-component-ld`"
    )]
    CoreModule { path: PathBuf },
    #[error("{path}: found {found}, expected a WASM component: is this the right file?")]
    NotWasm { path: PathBuf, found: String },
    #[error("{path}: {fault}")]
    Compile { path: PathBuf, fault: String },
    #[error("{path}: is not a valid component: {why}; truncated, or made for an engine with other features?")]
    Invalid { path: PathBuf, why: String },
    #[error(
        "{path}: imports `{import}`, but a decoder may import `{}/log` alone: build it without WASI (wasm32-unknown-unknown) and without other hosts' interfaces",
        contract::PACKAGE
    )]
    Import { path: PathBuf, import: String },
    #[error(
        "{path}: {found}, expected `{}/decoder@{}`: build it against this host's wit/",
        contract::PACKAGE,
        contract::VERSION
    )]
    OtherContract { path: PathBuf, found: String },
    #[error("{path}: does not fit the contract {}: {why}", contract::VERSION)]
    Mismatch { path: PathBuf, why: String },
}

impl Engine {
    /// An engine that keeps compiled components in `cache` (none: it compiles each time) and has them compiled by
    /// `compiler` (none: by this process, which nothing bounds).
    pub fn new(cache: Option<&Path>, compiler: Option<Arc<Compiler>>) -> Result<Self, ComponentError> {
        let refused = |error: wasmtime::Error| ComponentError::Engine(error.to_string());
        let engine = wasmtime::Engine::new(&config()).map_err(refused)?;
        let mut linker = Linker::new(&engine);
        contract::log::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest: &mut Guest| guest).map_err(refused)?;
        let ticker = Ticker::start(engine.clone()).map_err(ComponentError::Ticker)?;
        Ok(Self { engine, linker: Arc::new(linker), ticker, cache: cache.and_then(Cache::open), compiler })
    }

    /// Compiles and links a package's component. It runs nothing of it.
    pub fn compile(&self, artefact: &Artefact) -> Result<Compiled, ComponentError> {
        let path = &artefact.path;
        check_header(path, &artefact.bytes)?;
        let (component, cost) = self.component(&artefact.bytes).map_err(|fault| match fault {
            CompileFault::Invalid(why) => ComponentError::Invalid { path: path.clone(), why },
            fault => ComponentError::Compile { path: path.clone(), fault: fault.to_string() },
        })?;
        self.check_names(path, &component)?;
        let mismatch =
            |error: wasmtime::Error| ComponentError::Mismatch { path: path.clone(), why: format!("{error:#}") };
        let pre = self.linker.instantiate_pre(&component).map_err(mismatch)?;
        let pre = PluginPre::new(pre).map_err(mismatch)?;
        Ok(Compiled { pre, engine: self.clone(), path: path.clone(), bytes: artefact.bytes.len(), cost })
    }

    pub(super) fn store(&self, guest: Guest) -> wasmtime::Store<Guest> {
        let mut store = wasmtime::Store::new(&self.engine, guest);
        store.limiter(|guest| guest);
        store.set_hostcall_fuel(limits::ANSWER_BYTES);
        store.epoch_deadline_callback(|mut store| Ok(store.data_mut().watch.look()));
        store
    }

    /// Runs `call` with a deadline on the store.
    pub(super) fn timed<T>(
        &self,
        store: &mut wasmtime::Store<Guest>,
        time: Duration,
        call: impl FnOnce(&mut wasmtime::Store<Guest>) -> T,
    ) -> T {
        let watch = &mut store.data_mut().watch;
        watch.begin(time);
        let next = watch.next_look();
        store.set_epoch_deadline(next);
        let _running = self.ticker.run();
        call(store)
    }

    fn component(&self, bytes: &[u8]) -> Result<(Component, Option<CompileCost>), CompileFault> {
        if let Some(component) = self.cache.as_ref().and_then(|cache| cache.find(&self.engine, bytes)) {
            return Ok((component, None));
        }
        let (compiled, cost) = match &self.compiler {
            Some(compiler) => compiler.compile(bytes).map(|(compiled, cost)| (compiled, Some(cost)))?,
            None => {
                let compiled = self.engine.precompile_component(bytes);
                (compiled.map_err(|error| CompileFault::Invalid(format!("{error:#}")))?, None)
            }
        };
        if let Some(cache) = &self.cache {
            cache.keep(&self.engine, bytes, &compiled);
        }
        let component = cache::load(&self.engine, &compiled);
        Ok((component.map_err(|error| CompileFault::Process(format!("{error:#}")))?, cost))
    }

    fn check_names(&self, path: &Path, component: &Component) -> Result<(), ComponentError> {
        let shape = component.component_type();
        let log = format!("{}/log@", contract::PACKAGE);
        if let Some((import, _)) = shape.imports(&self.engine).find(|(import, _)| !import.starts_with(&log)) {
            return Err(ComponentError::Import { path: path.to_owned(), import: import.to_owned() });
        }
        let decoder = format!("{}/decoder@", contract::PACKAGE);
        let exports: Vec<_> = shape.exports(&self.engine).map(|(export, _)| export.to_owned()).collect();
        let spoken = contract::VERSION.rsplit_once('.').map_or("", |(minor, _)| minor);
        let versions: Vec<_> = exports.iter().filter_map(|export| export.strip_prefix(&decoder)).collect();
        if versions.iter().any(|version| version.rsplit_once('.').is_some_and(|(minor, _)| minor == spoken)) {
            return Ok(());
        }
        let found = match versions.first() {
            Some(version) => format!("speaks contract {version}"),
            None if exports.is_empty() => "exports nothing".to_owned(),
            None => format!("exports `{}`", exports.join("`, `")),
        };
        Err(ComponentError::OtherContract { path: path.to_owned(), found })
    }
}

/// The one configuration: compiled forms of another do not fit.
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

/// A component's compiled form. Unbounded in time and memory: for a process that is bounded.
pub(super) fn precompile(component: &[u8]) -> wasmtime::Result<Vec<u8>> {
    wasmtime::Engine::new(&config())?.precompile_component(component)
}

fn check_header(path: &Path, bytes: &[u8]) -> Result<(), ComponentError> {
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(ComponentError::CoreModule { path: path.to_owned() }),
        [0, b'a', b's', b'm', ..] => Ok(()),
        [] => Err(ComponentError::NotWasm { path: path.to_owned(), found: "an empty file".to_owned() }),
        [0x7f, b'E', b'L', b'F', ..] => Err(ComponentError::NotWasm {
            path: path.to_owned(),
            found: "an ELF file (a precompiled component?)".into(),
        }),
        first => {
            let shown: Vec<_> = first.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            let found = format!("a file that begins with {}", shown.join(" "));
            Err(ComponentError::NotWasm { path: path.to_owned(), found })
        }
    }
}

/// Moves the engine's epoch while at least one guest runs.
#[derive(Clone)]
struct Ticker {
    running: Arc<AtomicUsize>,
    thread: thread::Thread,
}

struct Running<'a>(&'a AtomicUsize);

impl Ticker {
    fn start(engine: wasmtime::Engine) -> io::Result<Self> {
        let running = Arc::new(AtomicUsize::new(0));
        // A weak reference lets the thread end with the engine: it is woken by the last drop or by its next tick.
        let (seen, weak) = (Arc::downgrade(&running), engine.weak());
        drop(engine);
        let handle = thread::Builder::new().name("epoch".to_owned()).spawn(move || {
            privileges::keep_in_this_thread(privileges::NONE);
            while let (Some(running), Some(engine)) = (seen.upgrade(), weak.upgrade()) {
                if running.load(Ordering::Acquire) == 0 {
                    drop((running, engine));
                    thread::park();
                } else {
                    engine.increment_epoch();
                    drop((running, engine));
                    thread::sleep(TICK);
                }
            }
        })?;
        Ok(Self { running, thread: handle.thread().clone() })
    }

    fn run(&self) -> Running<'_> {
        if self.running.fetch_add(1, Ordering::AcqRel) == 0 {
            self.thread.unpark();
        }
        Running(&self.running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
