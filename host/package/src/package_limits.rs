//! The `limits:` of a package: what its component may use. A package states them, and an operator overrides them.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::quantity::{Bytes, CpuShare, Time};
use ebhost_limits as limits;

/// The limits of a package: the host's defaults, or those of its `limits:` section and the operator's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one component instance.
    pub memory_bytes: u64,
    /// Time of one `decode` call.
    pub decode: Duration,
    pub series: usize,
    /// CPU time of the package's BPF programs; none: the host's share of the machine.
    pub kernel_cpu: Option<CpuShare>,
    /// Memory of the package's BPF maps when they are full.
    pub kernel_memory_bytes: u64,
}

/// Limits that somebody stated.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackageLimits {
    memory: Option<Bytes>,
    decode: Option<Time>,
    series: Option<usize>,
    kernel_cpu: Option<CpuShare>,
    kernel_memory: Option<Bytes>,
}

impl PackageLimits {
    /// Every name of a limit.
    const NAMES: &str = "memory, decode, series, kernel_cpu, kernel_memory";

    /// States the limit of that name.
    ///
    /// # Errors
    /// A name or a value that is no limit, or is more than the host gives a package.
    pub(super) fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let value = value.clone();
        let fault = |error: serde_json::Error| error.to_string();
        match name {
            "memory" => self.memory = Some(serde_json::from_value(value).map_err(fault)?),
            "decode" => self.decode = Some(serde_json::from_value(value).map_err(fault)?),
            "series" => self.series = Some(serde_json::from_value(value).map_err(fault)?),
            "kernel_cpu" => self.kernel_cpu = Some(serde_json::from_value(value).map_err(fault)?),
            "kernel_memory" => self.kernel_memory = Some(serde_json::from_value(value).map_err(fault)?),
            _ => return Err(format!("found the limit `{name}`, expected one of {}", Self::NAMES)),
        }
        self.check().map_err(|(_, message)| message)
    }

    /// These limits, and for those that are not stated the others'.
    pub(super) fn or(self, others: Self) -> Self {
        Self {
            memory: self.memory.or(others.memory),
            decode: self.decode.or(others.decode),
            series: self.series.or(others.series),
            kernel_cpu: self.kernel_cpu.or(others.kernel_cpu),
            kernel_memory: self.kernel_memory.or(others.kernel_memory),
        }
    }

    /// A package may ask for more than the defaults, but not for the whole host.
    ///
    /// # Errors
    /// The name of the limit that asks for too much, and a message.
    pub(super) fn check(&self) -> Result<(), (&'static str, String)> {
        let beyond = |key, found: String, most: String| Err((key, format!("found {found}, expected at most {most}")));
        match self {
            Self { memory: Some(bytes), .. } if bytes.0 > limits::MOST_MEMORY_BYTES => {
                beyond("memory", format!("{} bytes", bytes.0), format!("{} (1GiB)", limits::MOST_MEMORY_BYTES))
            }
            Self { decode: Some(time), .. } if time.0 > limits::GUEST_TIME_PER_SCRAPE => {
                beyond("decode", format!("{:?}", time.0), format!("{:?}", limits::GUEST_TIME_PER_SCRAPE))
            }
            Self { series: Some(series), .. } if *series > limits::MOST_SERIES => {
                beyond("series", series.to_string(), limits::MOST_SERIES.to_string())
            }
            _ => Ok(()),
        }
    }

    /// The limits, with the host's defaults for those that nobody stated.
    pub(super) fn complete(self) -> Limits {
        Limits {
            memory_bytes: self.memory.map_or(limits::DEFAULT_MEMORY_BYTES, |bytes| bytes.0),
            decode: self.decode.map_or(limits::DEFAULT_DECODE, |time| time.0),
            series: self.series.unwrap_or(limits::DEFAULT_SERIES),
            kernel_cpu: self.kernel_cpu,
            kernel_memory_bytes: self.kernel_memory.map_or(limits::DEFAULT_KERNEL_MEMORY_BYTES, |bytes| bytes.0),
        }
    }
}
