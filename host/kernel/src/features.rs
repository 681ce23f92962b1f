//! Features that a package asks of the kernel and that take more than CAP_BPF and CAP_PERFMON.

use std::collections::BTreeSet;

use ebhost_confine::privileges::Feature;
use ebhost_package::{
    Package,
    perf::{Event, EventKind},
};

use crate::{ObjectError, ObjectFile, attach::Attach};

/// The features of a package's programs and perf events, with the options that were chosen. Nothing is loaded.
///
/// # Errors
/// Its object cannot be parsed.
pub fn features(package: &Package) -> Result<BTreeSet<Feature>, ObjectError> {
    let events = package.perf.values().flat_map(|source| &source.events);
    let mut features: BTreeSet<_> = events.flat_map(of_event).copied().collect();
    if let Some(bpf) = &package.bpf {
        let object = ObjectFile::parse(bpf)?;
        let chosen = bpf.programs.as_deref();
        features.extend(object.attach_targets(chosen).flat_map(of_target));
    }
    Ok(features)
}

fn of_event(event: &Event) -> &'static [Feature] {
    match event.kind {
        EventKind::Tracepoint { .. } => &[Feature::PerfEvents, Feature::ClassicTracepoints],
        EventKind::Fixed { .. } | EventKind::Pmu { .. } => &[Feature::PerfEvents],
    }
}

fn of_target(target: &Attach) -> &'static [Feature] {
    match target {
        Attach::Tracepoint { .. } => &[Feature::PerfEvents, Feature::ClassicTracepoints],
        Attach::Kprobe { .. } | Attach::Ksyscall { .. } => &[Feature::PerfEvents],
        Attach::Uprobe { .. } | Attach::UprobeMulti { .. } | Attach::Usdt { .. } => &[Feature::UserProbes],
        Attach::Xdp { .. } | Attach::Tc { .. } | Attach::Cgroup { .. } => &[Feature::NetworkPrograms],
        Attach::PerfEvent(_) => &[Feature::PerfEvents],
        Attach::Typed(..) | Attach::RawTracepoint(..) | Attach::KprobeMulti { .. } | Attach::Unplaced { .. } => &[],
    }
}
