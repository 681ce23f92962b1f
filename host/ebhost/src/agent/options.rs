//! The choices that the command line makes.

use std::{path::PathBuf, sync::Arc};

use ebhost_confine::Keep;
use ebhost_package::{PackageFolders, Require};
use ebhost_plugin_host::Compiler;

/// What the agent is told to do.
#[derive(Clone)]
pub struct Options {
    pub places: PackageFolders,
    /// Of plugins' families.
    pub namespace: String,
    pub faults: OnFault,
    pub statistics: Statistics,
    /// Folder for compiled components; none: they are compiled at each start.
    pub cache: Option<PathBuf>,
    /// What compiles components; none: this process.
    pub compiler: Option<Arc<Compiler>>,
    pub reload: Reload,
    /// The operator's file of pins, and what has to be in it.
    pub pins: Option<(PathBuf, Require)>,
    /// Capabilities that are kept beside those that are needed.
    pub keep: Keep,
}

/// When changes in the plugin folder are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// When they are seen, and at SIGHUP.
    Watch,
    /// At SIGHUP.
    Signal,
    /// Never: nothing is loaded after the start, and the right to do so is given up.
    Off,
}

/// What a package that fails to load does to the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFault {
    LeaveOut,
    EndStart,
}

/// Whether the kernel is to count and time the runs of BPF programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statistics {
    AsTheyAre,
    On,
}
