//! The `ebhost` binary: flags in, the agent until it is told to stop.

use std::{future::Future, io, process::ExitCode};

use clap::Parser as _;
use ebhost::{
    agent::{self, AgentError, OnFault, Options},
    author,
    cli::{Cli, LogFormat, LogLevel},
    telemetry::{self, LogForm},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, level_filters::LevelFilter};

fn main() -> ExitCode {
    let cli = Cli::parse();
    start_log(&cli);
    if let Some(command) = &cli.command {
        return author::run(command, cli.cache_folder().as_deref());
    }
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), AgentError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
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
        agent::run(options(cli), stopped).await
    })
}

fn options(cli: Cli) -> Options {
    Options {
        cache: cli.cache_folder(),
        plugins: cli.plugins.unwrap_or_default(), // the parser requires it where no command is given
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
