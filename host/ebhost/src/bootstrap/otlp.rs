//! The OTLP receiver: its options, and its certificates, which are read before files are out of reach.

use std::env;

pub use ebhost_otlp::PrepareError as ReceiverError;
use ebhost_otlp::{Flags, Otlp};

use crate::cli::Cli;

/// None: nothing names a receiver.
pub(super) fn prepare(cli: &Cli) -> Result<Option<Otlp>, ReceiverError> {
    let flags = Flags { endpoint: cli.otlp_endpoint.clone(), interval: cli.otlp_interval };
    Otlp::prepare(&flags, |name| env::var(name).ok())
}
