//! What a package asks of the kernel that takes more than CAP_BPF and CAP_PERFMON.

use std::collections::BTreeSet;

use ebhost_confine::privileges::Feature;
use ebhost_package::{
    Package,
    perf::{Event, EventKind, PERF_TYPE_HARDWARE, PERF_TYPE_HW_CACHE, PERF_TYPE_RAW},
};

use crate::{ObjectError, ObjectFile, attach::Attach};

/// The features of a package's programs and perf events, with the options that were chosen. Nothing is loaded.
///
/// # Errors
/// Its object cannot be parsed.
pub fn features(package: &Package) -> Result<BTreeSet<Feature>, ObjectError> {
    let mut features: BTreeSet<_> = events(package).filter_map(of_event).collect();
    if let Some(bpf) = &package.bpf {
        let object = ObjectFile::parse(bpf)?;
        let chosen = bpf.programs.as_deref();
        features.extend(object.attach_targets(chosen).filter_map(of_target));
    }
    Ok(features)
}

fn events(package: &Package) -> impl Iterator<Item = &Event> {
    package.perf.values().flat_map(|source| &source.events)
}

fn of_event(event: &Event) -> Option<Feature> {
    let is_hardware = match &event.kind {
        EventKind::Fixed { kind, .. } => [PERF_TYPE_HARDWARE, PERF_TYPE_HW_CACHE, PERF_TYPE_RAW].contains(kind),
        EventKind::Pmu { .. } => true,
        EventKind::Tracepoint { .. } => return Some(Feature::ClassicTracepoints),
    };
    is_hardware.then_some(Feature::HardwareEvents)
}

fn of_target(target: &Attach) -> Option<Feature> {
    match target {
        Attach::Tracepoint { .. } => Some(Feature::ClassicTracepoints),
        Attach::Uprobe { .. } | Attach::UprobeMulti { .. } | Attach::Usdt { .. } => Some(Feature::UserProbes),
        Attach::Xdp { .. } | Attach::Tc { .. } | Attach::Cgroup { .. } => Some(Feature::NetworkPrograms),
        Attach::PerfEvent(Some((event, _))) => of_event(event),
        Attach::Typed(..)
        | Attach::RawTracepoint(..)
        | Attach::Kprobe { .. }
        | Attach::KprobeMulti { .. }
        | Attach::Ksyscall { .. }
        | Attach::PerfEvent(None)
        | Attach::Unplaced { .. } => None,
    }
}
