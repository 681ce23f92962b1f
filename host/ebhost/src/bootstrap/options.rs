//! From the command line's flags to the options of the agent, the sinks and the log.

use std::sync::Arc;

use tracing::level_filters::LevelFilter;

use super::{Web, settings};
use crate::{
    build_info,
    cli::{Cli, LogFormat, LogLevel, ReloadWhen, RequirePins},
    memory,
    sinks::{Options, RecorderOptions, WebOptions},
};
use ebhost_agent as agent;
use ebhost_agent::{OnFault, Reload, SpanReceiver, Statistics};
use ebhost_kernel::StatisticsProcess;
use ebhost_metrics::Created;
use ebhost_otlp::Otlp;
use ebhost_package::Require;
use ebhost_plugin_host::Compiler;
use ebhost_server::{Address, ResolvedAddress, ServerError, from_systemd};
use ebhost_telemetry::{LogForm, LogTimes, start_log as start};

/// Where to listen, with the addresses that each address of the command line stands for.
pub(super) fn listen_addresses(cli: &Cli) -> Result<Vec<Vec<ResolvedAddress>>, ServerError> {
    let addresses = if cli.systemd_socket { from_systemd()? } else { cli.listen_addresses.clone() };
    addresses.iter().map(Address::resolve).collect()
}

pub(super) fn parse(
    cli: Cli,
    compiler: Compiler,
    statistics: Option<StatisticsProcess>,
    web: Web,
    otlp: Option<Otlp>,
) -> Options {
    let faults = if cli.is_strict() { OnFault::EndStart } else { OnFault::LeaveOut };
    let web = WebOptions {
        listen_addresses: web.addresses,
        telemetry_path: cli.telemetry_path.clone(),
        config: Arc::new(web.config),
        created: if cli.created { Created::Printed } else { Created::LeftOut },
        settings: settings::in_force(&cli.arguments).into(),
    };
    let recorder = RecorderOptions { window: cli.recorder_window, folder: cli.recorder_folder.clone() };
    let agent = agent::Options {
        build: build_info::BUILD,
        faults,
        cache: cli.cache_folder(),
        compiler: Some(Arc::new(compiler)),
        statistics_process: statistics.map(Arc::new),
        reload: match cli.reload {
            ReloadWhen::Watch => Reload::Watch,
            ReloadWhen::Signal => Reload::Signal,
            ReloadWhen::Off => Reload::Off,
        },
        spans: match otlp.as_ref().is_some_and(Otlp::takes_spans) {
            true => SpanReceiver::Given,
            false => SpanReceiver::NotGiven,
        },
        folders: cli.places(),
        roots: cli.roots(),
        settings: cli.settings,
        pins: cli.pins.map(|file| match cli.require {
            RequirePins::Bpf => (file, Require::Bpf),
            RequirePins::All => (file, Require::All),
        }),
        keep: cli.keep,
        namespace: cli.namespace,
        return_free_memory: memory::return_free_memory,
        statistics: if cli.statistics { Statistics::On } else { Statistics::AsTheyAre },
    };
    Options { agent, web, recorder, otlp }
}

pub(super) fn start_log(cli: &Cli) {
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
    start(form, times, least);
}
