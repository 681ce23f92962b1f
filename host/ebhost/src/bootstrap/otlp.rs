//! The OTLP receiver: its options, and its certificates, which are read before files are out of reach.

use std::env;

use ebhost_otlp::{Flags, OptionError, Otlp, OtlpOptions, TlsError};

use crate::cli::Cli;

/// Why nothing can be pushed.
#[derive(Debug, thiserror::Error)]
pub enum ReceiverError {
    #[error(transparent)]
    Options(#[from] OptionError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// None: nothing names a receiver.
pub(super) fn prepare(cli: &Cli) -> Result<Option<Otlp>, ReceiverError> {
    let flags = Flags { endpoint: cli.otlp_endpoint.clone(), interval: cli.otlp_interval };
    let options = OtlpOptions::read(&flags, |name| env::var(name).ok())?;
    Ok(options.map(Otlp::prepare).transpose()?)
}
