//! Section names: the type of a program, and what it is attached to.
//!
//! The names are libbpf's (<https://docs.kernel.org/bpf/libbpf/program_types.html>), with two additions: an interface after `xdp/`, as in
//! ebpf_exporter, and after `tc/ingress/` and the like.

mod cgroup;
mod target;
#[cfg(test)]
mod tests;
mod unplaced;

use ebhost_package::perf::{Event, Rate, number};

pub(crate) use target::{ArgumentAccess, Attach, Direction, FireAt, Hook};

/// The known section names, as messages list them.
pub(crate) const SECTIONS: [&str; 23] = [
    "tp_btf/NAME",
    "raw_tp/NAME",
    "raw_tp.w/NAME",
    "tracepoint/CATEGORY/NAME",
    "kprobe/SYMBOL+OFFSET",
    "kretprobe/SYMBOL",
    "kprobe.multi/PATTERN",
    "kretprobe.multi/PATTERN",
    "kprobe.session/PATTERN",
    "ksyscall/NAME",
    "kretsyscall/NAME",
    "fentry/SYMBOL",
    "fexit/SYMBOL",
    "fmod_ret/SYMBOL",
    "lsm/HOOK",
    "iter/KIND",
    "uprobe/FILE:SYMBOL+OFFSET",
    "uprobe.multi/FILE:PATTERN",
    "uprobe.session/FILE:PATTERN",
    "usdt/FILE:PROVIDER:NAME",
    "perf_event/type=T,config=C,frequency=F",
    "xdp/INTERFACE, tcx/ingress/INTERFACE",
    "cgroup_skb/ingress, cgroup/connect4 and the like",
];

const BPF_F_SLEEPABLE: u32 = 1 << 4;
const BPF_F_XDP_HAS_FRAGS: u32 = 1 << 5;

/// A parsed section name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) attach: Attach,
    /// `BPF_F_*` that the program is loaded with.
    pub(crate) flags: u32,
}

impl Section {
    /// Parses a section name; `None`: it is not known.
    pub(crate) fn parse(section: &str) -> Option<Self> {
        Self::placed(section).or_else(|| unplaced::parse(section))
    }

    /// Parses the section of a program that has a target.
    fn placed(section: &str) -> Option<Self> {
        let plain = |attach| Some(Self { attach, flags: 0 });
        if let Some(attach) = cgroup::parse(section) {
            return plain(attach);
        }
        if let Some(attach) = network(section) {
            return plain(attach);
        }
        match section {
            "perf_event" => return plain(Attach::PerfEvent(None)),
            "xdp" => return plain(Attach::Xdp { interface: None }),
            "xdp.frags" => return Some(Self { attach: Attach::Xdp { interface: None }, flags: BPF_F_XDP_HAS_FRAGS }),
            _ => {}
        }
        let (kind, target) = section.split_once('/')?;
        if target.is_empty() {
            return None;
        }
        let (kind, flags) = kind.strip_suffix(".s").map_or((kind, 0), |kind| (kind, BPF_F_SLEEPABLE));
        let (kind, flags) = kind.strip_suffix(".frags").map_or((kind, flags), |kind| (kind, BPF_F_XDP_HAS_FRAGS));
        let attach = attach(kind, target)?;
        let allowed = match attach {
            Attach::Typed(Hook::Tracepoint, _) => 0,
            Attach::Typed(..) | Attach::Uprobe { .. } | Attach::UprobeMulti { .. } | Attach::Usdt { .. } => {
                BPF_F_SLEEPABLE
            }
            Attach::Xdp { .. } => BPF_F_XDP_HAS_FRAGS,
            _ => 0,
        };
        (flags & !allowed == 0).then_some(Self { attach, flags })
    }
}

fn attach(kind: &str, target: &str) -> Option<Attach> {
    let name = target.to_owned();
    let (entry, ret) = (FireAt::Entry, FireAt::Return);
    Some(match kind {
        "tp_btf" => Attach::Typed(Hook::Tracepoint, name),
        "fentry" => Attach::Typed(Hook::Entry, name),
        "fexit" => Attach::Typed(Hook::Exit, name),
        "fmod_ret" => Attach::Typed(Hook::ModifyReturn, name),
        "lsm" => Attach::Typed(Hook::Lsm, name),
        "iter" => Attach::Typed(Hook::Iterator, name),
        "raw_tp" | "raw_tracepoint" => Attach::RawTracepoint(ArgumentAccess::ReadOnly, name),
        "raw_tp.w" | "raw_tracepoint.w" => Attach::RawTracepoint(ArgumentAccess::Writable, name),
        "tp" | "tracepoint" => {
            let (category, name) = target.split_once('/')?;
            Attach::Tracepoint { category: category.to_owned(), name: name.to_owned() }
        }
        "kprobe" | "kretprobe" => {
            let (symbol, offset) = with_offset(target)?;
            let when = if kind == "kprobe" { entry } else { ret };
            // A return probe has no offset.
            (when == entry || offset == 0).then_some(Attach::Kprobe { symbol, offset, when })?
        }
        "kprobe.multi" => Attach::KprobeMulti { pattern: name, when: entry },
        "kretprobe.multi" => Attach::KprobeMulti { pattern: name, when: ret },
        "ksyscall" => Attach::Ksyscall { name, when: entry },
        "kretsyscall" => Attach::Ksyscall { name, when: ret },
        "uprobe" => uprobe(target, entry)?,
        "uretprobe" => uprobe(target, ret)?,
        "uprobe.multi" => uprobe_multi(target, entry)?,
        "uretprobe.multi" => uprobe_multi(target, ret)?,
        "kprobe.session" => Attach::KprobeMulti { pattern: name, when: FireAt::Both },
        "uprobe.session" => uprobe_multi(target, FireAt::Both)?,
        "usdt" => {
            let (rest, name) = target.rsplit_once(':')?;
            let (file, provider) = rest.rsplit_once(':')?;
            Attach::Usdt { file: file.to_owned(), provider: provider.to_owned(), name: name.to_owned() }
        }
        "perf_event" => Attach::PerfEvent(Some(sampled(target)?)),
        "xdp" => Attach::Xdp { interface: Some(name) },
        _ => return None,
    })
}

fn uprobe(target: &str, when: FireAt) -> Option<Attach> {
    let (file, location) = target.rsplit_once(':')?;
    let file = Some(file.to_owned()).filter(|file| !file.is_empty())?;
    // A number alone is an offset in the file.
    if let Some(offset) = number(location) {
        return Some(Attach::Uprobe { file, symbol: None, offset, when });
    }
    let (symbol, offset) = with_offset(location)?;
    Some(Attach::Uprobe { file, symbol: Some(symbol), offset, when })
}

fn uprobe_multi(target: &str, when: FireAt) -> Option<Attach> {
    let (file, pattern) = target.rsplit_once(':')?;
    let is_whole = !file.is_empty() && !pattern.is_empty();
    is_whole.then(|| Attach::UprobeMulti { file: file.to_owned(), pattern: pattern.to_owned(), when })
}

fn with_offset(target: &str) -> Option<(String, u64)> {
    let (symbol, offset) = match target.split_once('+') {
        Some((symbol, offset)) => (symbol, number(offset)?),
        None => (target, 0),
    };
    (!symbol.is_empty()).then(|| (symbol.to_owned(), offset))
}

/// `tc`, `tc/ingress`, `tcx/egress`, and these followed by an interface.
fn network(section: &str) -> Option<Attach> {
    let mut parts = section.splitn(3, '/');
    let direction = match (parts.next()?, parts.next()) {
        ("tc" | "classifier", None) | ("tc" | "tcx", Some("ingress")) => Direction::Ingress,
        ("tc" | "tcx", Some("egress")) => Direction::Egress,
        _ => return None,
    };
    let interface = parts.next().map(str::to_owned);
    Some(Attach::Tc { direction, interface }).filter(|_| !section.ends_with('/'))
}

/// The event and the rate in `type=T,config=C,frequency=F`, or with `sample_period=P` in the last place; all are numbers.
fn sampled(terms: &str) -> Option<(Event, Rate)> {
    let (mut kind, mut config, mut rate) = (None, None, None);
    for term in terms.split(',') {
        let (name, value) = term.split_once('=')?;
        let value = number(value.trim())?;
        match name.trim() {
            "type" => kind = Some(u32::try_from(value).ok()?),
            "config" => config = Some(value),
            "frequency" if rate.is_none() && value > 0 => rate = Some(Rate::Frequency(value)),
            "sample_period" if rate.is_none() && value > 0 => rate = Some(Rate::Period(value)),
            _ => return None,
        }
    }
    Some((Event::fixed(kind?, config?), rate?))
}
