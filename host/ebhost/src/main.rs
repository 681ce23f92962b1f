//! The `ebhost` binary: flags in, the agent until it is told to stop.

use std::{
    future::Future,
    io::{self, PipeWriter, Write as _, pipe},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use clap::Parser as _;
use ebhost::agent::{self, AgentError, OnFault, Reload, Statistics};
use ebhost::author;
use ebhost::cli::{Cli, Landlock, LogFormat, LogLevel, ReloadWhen, RequirePins};
use ebhost::memory;
use ebhost::sinks::{self, Options, RunError, WebOptions};
use ebhost::systemd;
use ebhost_confine as privileges;
use ebhost_confine::Confined;
use ebhost_kernel as kernel;
use ebhost_metrics::Created;
use ebhost_package::Require;
use ebhost_plugin_host::Compiler;
use ebhost_server::{Address, ServerError, WebConfigFile, from_systemd};
use ebhost_telemetry as telemetry;
use ebhost_telemetry::{LogForm, LogTimes, flush_log};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, level_filters::LevelFilter};

fn main() -> ExitCode {
    memory::give_back_great_buffers();
    let cli = Cli::parse();
    match cli.document(&mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::FAILURE, // the reader went away
    }
    // In this order: the compiler forks, so there may be no thread yet; and threads inherit how they are confined.
    let compiler = Compiler::start();
    if let Some(command) = &cli.command {
        start_log(&cli);
        let ended = author::run(command, cli.cache_folder().as_deref(), compiler);
        flush_log();
        return ended;
    }
    let web_config = WebConfigFile::open(cli.web_config.clone());
    let files = web_config.as_ref().map(WebConfigFile::files).unwrap_or_default();
    let confined = (cli.landlock == Landlock::Auto).then(|| confine(&cli, &files));
    start_log(&cli);
    if let Some(confined) = confined {
        confined.announce();
    }
    let ended = match start(cli, compiler, web_config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault}");
            ExitCode::FAILURE
        }
    };
    flush_log();
    ended
}

fn start(
    cli: Cli,
    compiler: io::Result<Compiler>,
    web_config: Result<WebConfigFile, impl Into<ServerError>>,
) -> Result<(), RunError> {
    let is_check = cli.check;
    let web_config = web_config.map_err(Into::into)?;
    let options = options(cli, compiler.map_err(AgentError::Compiler)?, web_config)?;
    if is_check { Ok(agent::check(&options.agent)?) } else { run(options) }
}

fn run(options: Options) -> Result<(), RunError> {
    let keep = options.agent.keep;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .on_thread_start(move || privileges::keep_in_this_thread(keep.0))
        .worker_threads(1) // requests wait for the agent's thread; more workers would wake each other to wait beside them
        .enable_all()
        .build()
        .map_err(AgentError::Thread)?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(());
        let asked = stop_asked().map_err(AgentError::Thread)?;
        tokio::spawn(async move {
            asked.await;
            info!("stopping");
            systemd::notify("STOPPING=1");
            drop(stop);
        });
        let (reload_asked, reload) = pipe().map_err(AgentError::Thread)?;
        let hangup = signal(SignalKind::hangup()).map_err(AgentError::Thread)?;
        tokio::spawn(reloads(hangup, options.web.config.clone(), reload));
        sinks::run(options, stopped, reload_asked).await
    })
}

fn confine(cli: &Cli, web_files: &[PathBuf]) -> Confined {
    let places = cli.places();
    let mut readable: Vec<_> = [places.plugins.as_deref(), cli.pins.as_deref()].into_iter().flatten().collect();
    if let Some(drop_ins) = &places.drop_ins {
        readable.extend([drop_ins.folder.as_path()].into_iter().chain(drop_ins.btf_path.as_deref()));
        // Their probes are of programs and libraries, whose symbols are read.
        readable.extend(privileges::PROGRAMS.map(Path::new));
    }
    // The folders: a file that is replaced is another file.
    readable.extend(web_files.iter().map(|file| folder_of(file)));
    let folders = [places.plugins.as_deref(), places.drop_ins.as_ref().map(|drop_ins| drop_ins.folder.as_path())];
    let probed = kernel::probed_files(&folders.into_iter().flatten().collect::<Vec<_>>());
    readable.extend(probed.iter().map(PathBuf::as_path));
    let sockets = cli.listen_addresses.iter().filter_map(|address| match address {
        Address::Unix(path) => Some(folder_of(path)),
        _ => None,
    });
    privileges::confine(&readable, cli.cache_folder().as_deref(), &sockets.collect::<Vec<_>>())
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn options(cli: Cli, compiler: Compiler, web_config: WebConfigFile) -> Result<Options, ServerError> {
    let listen_addresses = if cli.systemd_socket { from_systemd()? } else { cli.listen_addresses.clone() };
    let faults = if cli.is_strict() { OnFault::EndStart } else { OnFault::LeaveOut };
    let web = WebOptions {
        listen_addresses,
        telemetry_path: cli.telemetry_path.clone(),
        config: Arc::new(web_config),
        created: if cli.created { Created::Printed } else { Created::LeftOut },
    };
    let agent = agent::Options {
        faults,
        cache: cli.cache_folder(),
        compiler: Some(Arc::new(compiler)),
        reload: match cli.reload {
            ReloadWhen::Watch => Reload::Watch,
            ReloadWhen::Signal => Reload::Signal,
            ReloadWhen::Off => Reload::Off,
        },
        places: cli.places(),
        pins: cli.pins.map(|file| match cli.require {
            RequirePins::Bpf => (file, Require::Bpf),
            RequirePins::All => (file, Require::All),
        }),
        keep: cli.keep,
        namespace: cli.namespace,
        statistics: if cli.statistics { Statistics::On } else { Statistics::AsTheyAre },
    };
    Ok(Options { agent, web })
}

/// At every SIGHUP the web configuration is read again, and the plugin folder looked through.
async fn reloads(mut hangup: Signal, web_config: Arc<WebConfigFile>, mut packages: PipeWriter) {
    while hangup.recv().await.is_some() {
        systemd::notify_reloading();
        web_config.reload();
        // With --reload=off nobody receives, and the packages stay.
        let _ = packages.write_all(&[0]);
        systemd::notify("READY=1");
    }
}

fn start_log(cli: &Cli) {
    let form = match cli.log_format {
        LogFormat::Text => LogForm::Text,
        LogFormat::Json => LogForm::Json,
    };
    let least = match cli.log_level() {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    let times = if cli.no_log_times { LogTimes::LeftOut } else { LogTimes::Shown };
    telemetry::start_log(form, times, least);
}

/// Ends when a SIGTERM or SIGINT comes.
fn stop_asked() -> io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
