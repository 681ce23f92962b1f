//! The `ebhost` binary: flags in, the agent until it is told to stop.

use std::{
    future::Future,
    io,
    process::ExitCode,
    sync::{Arc, mpsc},
};

use clap::Parser as _;
use ebhost::{
    agent::{self, AgentError, OnFault, Options, Reload},
    cli::{Cli, Landlock, LogFormat, LogLevel, ReloadWhen, RequirePins},
    package::Require,
    plugin::Compiler,
    privileges::{self, Confined},
    telemetry::{self, LogForm, flush_log},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, level_filters::LevelFilter};

fn main() -> ExitCode {
    let cli = Cli::parse();
    // In this order: the compiler forks, so there may be no thread yet; and threads inherit how they are confined.
    let compiler = Compiler::start();
    let confined = (cli.landlock == Landlock::Auto).then(|| confine(&cli));
    start_log(&cli);
    if let Some(confined) = confined {
        confined.announce();
    }
    let ended = match compiler.map_err(AgentError::Compiler).and_then(|compiler| run(cli, compiler)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault}");
            ExitCode::FAILURE
        }
    };
    flush_log();
    ended
}

fn run(cli: Cli, compiler: Compiler) -> Result<(), AgentError> {
    let keep = cli.keep;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .on_thread_start(move || privileges::keep_in_this_thread(keep.0))
        .worker_threads(2) // requests wait for the agent's thread; more workers would only wait beside them
        .enable_all()
        .build()
        .map_err(AgentError::Thread)?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(());
        let asked = stop_asked().map_err(AgentError::Thread)?;
        tokio::spawn(async move {
            asked.await;
            info!("stopping");
            drop(stop);
        });
        let reload_asked = reload_asked().map_err(AgentError::Thread)?;
        agent::run(options(cli, compiler), stopped, reload_asked).await
    })
}

fn confine(cli: &Cli) -> Confined {
    let readable: Vec<_> = [Some(cli.plugins.as_path()), cli.pins.as_deref()].into_iter().flatten().collect();
    privileges::confine(&readable, cli.cache_folder().as_deref())
}

fn options(cli: Cli, compiler: Compiler) -> Options {
    Options {
        cache: cli.cache_folder(),
        compiler: Some(Arc::new(compiler)),
        reload: match cli.reload {
            ReloadWhen::Watch => Reload::Watch,
            ReloadWhen::Signal => Reload::Signal,
            ReloadWhen::Off => Reload::Off,
        },
        pins: cli.pins.map(|file| match cli.require {
            RequirePins::Bpf => (file, Require::Bpf),
            RequirePins::All => (file, Require::All),
        }),
        keep: cli.keep,
        plugins: cli.plugins,
        namespace: cli.namespace,
        faults: if cli.strict { OnFault::EndStart } else { OnFault::LeaveOut },
        listen_addresses: cli.listen_addresses,
        telemetry_path: cli.telemetry_path,
    }
}

fn start_log(cli: &Cli) {
    let form = match cli.log_format {
        LogFormat::Text => LogForm::Text,
        LogFormat::Json => LogForm::Json,
    };
    let least = match cli.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
    };
    telemetry::start_log(form, least);
}

/// Has something for each SIGHUP.
fn reload_asked() -> io::Result<mpsc::Receiver<()>> {
    let mut signals = signal(SignalKind::hangup())?;
    let (asked, receiver) = mpsc::channel();
    tokio::spawn(async move {
        // With --reload=off nobody receives, and the signal is without effect.
        while signals.recv().await.is_some() {
            let _ = asked.send(());
        }
    });
    Ok(receiver)
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
