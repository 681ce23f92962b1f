//! The agent's options, as the command line sets them.

use std::{path::PathBuf, sync::Arc};

use ebhost_confine::Keep;
use ebhost_kernel::StatisticsProcess;
use ebhost_lookup::Roots;
use ebhost_package::{PackageFolders, Require, Settings};
use ebhost_plugin_host::Compiler;
use ebhost_telemetry::BuildInfo;

/// Everything that the agent is configured with.
#[derive(Clone)]
pub struct Options {
    /// The build that runs, for `ebhost_build_info`.
    pub build: BuildInfo,
    pub folders: PackageFolders,
    /// Where names are looked up.
    pub roots: Roots,
    /// The operator's choices.
    pub settings: Settings,
    /// The prefix of the names of plugins' families.
    pub namespace: String,
    pub faults: OnFault,
    pub statistics: Statistics,
    /// The folder for compiled components; none: they are compiled at each start.
    pub cache: Option<PathBuf>,
    /// The process that compiles components; none: this one does.
    pub compiler: Option<Arc<Compiler>>,
    /// The process that switches the kernel's run statistics on for a while; none: they are measured only while others have them on.
    pub statistics_process: Option<Arc<StatisticsProcess>>,
    pub reload: Reload,
    pub spans: SpanReceiver,
    /// The operator's file of pins, and the packages that have to be in it.
    pub pins: Option<(PathBuf, Require)>,
    /// Capabilities to keep beside those that are needed.
    pub keep: Keep,
    /// Returns free memory to the kernel. Called after packages were exchanged.
    pub return_free_memory: fn(),
}

/// When changes in the package folders are taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// When they are noticed, and at SIGHUP.
    Watch,
    /// Only at SIGHUP.
    Signal,
    /// Never: the capabilities to load programs are dropped after the start.
    Off,
}

/// Whether spans are sent to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanReceiver {
    Given,
    /// No buffer is read for spans.
    NotGiven,
}

/// The consequence of a package that fails to load at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    /// The others run.
    LeaveOut,
    /// The host does not start.
    EndStart,
}

/// Whether the kernel counts and times the runs of BPF programs, which costs each run some 0.1 µs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    /// Whatever is set on this machine.
    AsTheyAre,
    /// Switched on until the host ends.
    On,
}
