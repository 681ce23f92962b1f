//! The start, in the order in which privileges are dropped. A step is where it is because of those after it:
//!
//! 1. **The limit on open files is raised** to what the process may have: a file for each event on each CPU, and each connection. One that is
//!    too low for the process itself ends the start, because libraries panic without a file.
//! 2. **Hang-ups are received** ([`Hangups`]), because a SIGHUP without a handler ends the process. A reload that is asked for during the
//!    start is done after it.
//! 3. **The compiler's process is forked**, before there is a thread: a forked process has only the thread that forked it. It gives up
//!    every privilege.
//! 4. **The service manager's socket is connected**, because Landlock keeps abstract sockets out of reach.
//! 5. **Host names are looked up** that the process is to listen on, and the web configuration and the OTLP receiver's certificates are
//!    read: these take files that Landlock denies, or that it is to allow.
//! 6. **Landlock denies every other file** ([`files`]). Threads inherit it, so none may have been started.
//! 7. **The log** gets its thread, and the async runtime its own, which have no capability from their first instruction.
//! 8. **The listeners are bound** by the main thread, which still may bind any port ([`sinks::run`], like the next steps).
//! 9. **The packages are loaded** by the thread "load", which has every capability and ends. Perf events of these packages are opened here.
//! 10. **The threads that run are started**: the loader with what loading takes, the agent with what reading takes. The main
//!     thread drops its own capabilities.
//!
//! Every thread is started by [`ebhost_confine::spawn`]; `docs/sandbox.md` lists the capabilities of each.

mod files;
mod links;
mod open_files;
mod options;
mod otlp;
mod settings;

use std::{io, process::ExitCode};

use tokio::{runtime::Runtime, sync::oneshot};
use tracing::{debug, error, info, warn};

use crate::{
    author,
    cli::{Cli, Landlock},
    signals::{self, Hangups},
    sinks::{self, Options, RunError},
    systemd,
};
use ebhost_agent as agent;
use ebhost_agent::AgentError;
use ebhost_kernel::StatisticsProcess;
use ebhost_otlp::Otlp;
use ebhost_plugin_host::Compiler;
use ebhost_server::{ResolvedAddress, ServerError, WebConfigFile};
use ebhost_telemetry::flush_log;
use open_files::TooFewFiles;
pub use otlp::ReceiverError;

/// Runs a plugin author's command. These end when they are done; they drop nothing.
pub fn run_command(cli: &Cli) -> ExitCode {
    let raised = open_files::raise_limit();
    if let Err(fault) = open_files::check_limit() {
        return end_start(cli, &fault);
    }
    let compiler = Compiler::start();
    start_log(cli, raised);
    let ended = match &cli.command {
        Some(command) => author::run(command, cli.cache_folder().as_deref(), compiler),
        None => ExitCode::SUCCESS,
    };
    flush_log();
    ended
}

/// Loads the packages and serves them until the process is told to stop.
pub fn run_host(cli: Cli) -> ExitCode {
    let raised = open_files::raise_limit();
    if let Err(fault) = open_files::check_limit() {
        return end_start(&cli, &fault);
    }
    if let Some(folder) = cli.roots().cgroup {
        ebhost_cgroups::choose_mount(folder);
    }
    let hangups = Hangups::receive();
    let processes = Processes { compiler: Compiler::start(), statistics: StatisticsProcess::start() };
    systemd::connect();
    let addresses = options::listen_addresses(&cli);
    let web_config = WebConfigFile::open(cli.web_config.clone());
    let web_files = web_config.as_ref().map(WebConfigFile::files).unwrap_or_default();
    let receiver = otlp::prepare(&cli);
    let ports = receiver.as_ref().ok().and_then(Option::as_ref).map(Otlp::ports).unwrap_or_default();
    let file_access = (cli.landlock == Landlock::Auto).then(|| files::allowed(&cli, &web_files, ports).enforce());
    start_log(&cli, raised);
    announce_privileges();
    if let Some(file_access) = file_access {
        file_access.announce();
    }
    let ended = hangups.map_err(|error| AgentError::Setup(error).into()).and_then(|hangups| {
        let web = Web { addresses: addresses?, config: web_config.map_err(ServerError::from)? };
        run(cli, hangups, processes, web, receiver?)
    });
    let code = match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault}");
            ExitCode::FAILURE
        }
    };
    flush_log();
    code
}

/// Logs why the process cannot start.
fn end_start(cli: &Cli, fault: &TooFewFiles) -> ExitCode {
    start_log(cli, Ok(()));
    error!("{fault}");
    flush_log();
    ExitCode::FAILURE
}

fn start_log(cli: &Cli, raised: io::Result<()>) {
    options::start_log(cli);
    ebhost_confine::log_panics();
    if let Err(error) = raised {
        warn!("the limit on open files stays as it is: {error}");
    }
}

/// Logs what packages may ask for and this process was not given. What a package that is loaded lacks is an error of its own.
fn announce_privileges() {
    match ebhost_confine::privileges::describe_start() {
        Ok(Some(sentence)) => info!("{sentence}: docs/privileges.md"),
        Ok(None) => {}
        Err(error) => debug!("the capabilities of the start are unknown: {error}"),
    }
}

/// Addresses and web configuration of the HTTP server, which are read before Landlock.
struct Web {
    addresses: Vec<Vec<ResolvedAddress>>,
    config: WebConfigFile,
}

/// Processes that keep what this one gives up, or give up what it keeps.
struct Processes {
    compiler: io::Result<Compiler>,
    statistics: io::Result<StatisticsProcess>,
}

fn run(cli: Cli, hangups: Hangups, processes: Processes, web: Web, receiver: Option<Otlp>) -> Result<(), RunError> {
    let is_check = cli.check;
    web.config.announce();
    let compiler = processes.compiler.map_err(AgentError::Compiler)?;
    // Without it the agent says that costs are not measured.
    let options = options::parse(cli, compiler, processes.statistics.ok(), web, receiver);
    if is_check { Ok(agent::check(&options.agent)?) } else { serve(options, hangups) }
}

fn serve(options: Options, hangups: Hangups) -> Result<(), RunError> {
    let runtime = runtime(&options).map_err(AgentError::Setup)?;
    runtime.block_on(async {
        let stop = signals::stop_requested().map_err(AgentError::Setup)?;
        let (requester, reloads) = agent::reload_requests().map_err(AgentError::Setup)?;
        let (started, is_started) = oneshot::channel();
        tokio::spawn(hangups.reload_at_each(options.web.config.clone(), requester, is_started));
        sinks::run(options, sinks::Signals { stop, reloads, started }).await
    })
}

/// One worker thread: requests wait for the agent's thread, and more workers would wake each other to wait beside them.
fn runtime(options: &Options) -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("http")
        .on_thread_start(ebhost_confine::runtime_thread(options.agent.keep.0))
        .worker_threads(1)
        .enable_all()
        .build()
}
