//! The `ebhost` binary: flags in, the agent until it is told to stop.

use std::{future::Future, io, process::ExitCode, sync::Arc};

use clap::Parser as _;
use ebhost::{
    agent::{self, AgentError, OnFault, Options, Statistics},
    cli::{Cli, LogFormat, LogLevel},
    exposition::Created,
    server::{ServerError, WebConfigFile, from_systemd},
    systemd,
    telemetry::{self, LogForm},
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use tracing::{error, info, level_filters::LevelFilter};

fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli.document(&mut io::stdout()) {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(_) => return ExitCode::FAILURE, // the reader went away
    }
    start_log(&cli);
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            error!("{fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), AgentError> {
    let is_check = cli.check;
    let options = options(cli)?;
    if is_check {
        return agent::check(&options);
    }
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
            systemd::notify("STOPPING=1");
            drop(stop);
        });
        tokio::spawn(reloads(signal(SignalKind::hangup()).map_err(AgentError::Thread)?, options.web_config.clone()));
        agent::run(options, stopped).await
    })
}

fn options(cli: Cli) -> Result<Options, ServerError> {
    let listen_addresses = if cli.systemd_socket { from_systemd()? } else { cli.listen_addresses.clone() };
    Ok(Options {
        cache: cli.cache_folder(),
        plugins: cli.plugins().to_owned(),
        namespace: cli.namespace,
        // A check is of everything.
        faults: if cli.strict || cli.check { OnFault::EndStart } else { OnFault::LeaveOut },
        listen_addresses,
        telemetry_path: cli.telemetry_path,
        web_config: Arc::new(WebConfigFile::open(cli.web_config)?),
        created: if cli.created { Created::Printed } else { Created::LeftOut },
        statistics: if cli.statistics { Statistics::On } else { Statistics::AsTheyAre },
    })
}

/// Reads the web configuration again at every SIGHUP.
async fn reloads(mut hangup: Signal, web_config: Arc<WebConfigFile>) {
    while hangup.recv().await.is_some() {
        systemd::notify_reloading();
        web_config.reload();
        systemd::notify("READY=1");
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
