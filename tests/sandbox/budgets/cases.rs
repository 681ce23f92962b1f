//! The table: each case is legal, or nearly, and costs the host more than it costs its author.

use super::{
    files::{self, File},
    guest::{Answer, Guest, HONEST, Kind, Label, Map},
};
use crate::loading::{memory_bomb_module, time_bomb_module};

pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) component: fn() -> Vec<u8>,
    /// `limits:` of the package.
    pub(super) limits: &'static str,
    pub(super) keys: Keys,
    pub(super) outcome: Outcome,
}

/// Entries of the hash `fresh`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keys {
    None,
    /// So many at once.
    Many(u32),
    /// New ones before each scrape.
    Trickle,
}

/// The metric or the log line that tells the operator.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outcome {
    /// The version is refused, and the log says this.
    Refused(&'static str),
    /// Compiling it takes longer than it may, and the version is refused; or it is done within the limit, which a machine that measured itself in a
    /// slow moment raises.
    Slow,
    /// It runs, and the log says this.
    Logged(&'static str),
    /// It runs, and label sets are folded because they would make answers too long.
    Folded,
    /// It backs off or is quarantined, after failures for this reason.
    BacksOff(&'static str),
    /// It runs.
    Runs,
    /// It runs, or is refused for a reason: only the bounds matter.
    Bounded,
}
use Outcome::{BacksOff, Bounded, Folded, Logged, Refused, Runs, Slow};

/// A manifest or answers.
const fn guest(name: &'static str, component: fn() -> Vec<u8>, outcome: Outcome) -> Case {
    Case { name, component, limits: "", keys: Keys::None, outcome }
}

/// A file with more sections than an honest one.
const fn file(name: &'static str, component: fn() -> Vec<u8>, outcome: Outcome) -> Case {
    Case { name, component, limits: "", keys: Keys::None, outcome }
}

const PADDING: usize = 50 << 20;

/// Turns of a loop that take a second or two.
pub(super) const SLOW_TURNS: u64 = 2_500_000_000;
const EVERY_SECOND_CALL_TRAPS: &str = "(if (i32.eqz (i32.rem_u (global.get $calls) (i32.const 2))) (then unreachable))";
const EVERY_SECOND_CALL_SPINS: &str =
    "(if (i32.eqz (i32.rem_u (global.get $calls) (i32.const 2))) (then (loop $spin (br $spin))))";
const TRAP_AFTER_TOO_MUCH_MEMORY: &str = "(if (i32.eqz (i32.rem_u (global.get $calls) (i32.const 2))) (then unreachable) \
     (else (drop (memory.grow (i32.const 16384)))))";
const TOO_MUCH_MEMORY: &str = "(if (i32.eq (memory.grow (i32.const 16384)) (i32.const -1)) (then unreachable))";

pub(super) fn slow_and_fails_in_its_second_call(turns: u64) -> Vec<u8> {
    Guest { map: Map::Fresh, describe_turns: turns, decode: EVERY_SECOND_CALL_TRAPS, ..HONEST }.component()
}

pub(super) fn cases() -> Vec<Case> {
    [manifests(), answers(), instances(), compiled()].into_iter().flatten().collect()
}

fn manifests() -> Vec<Case> {
    vec![
        guest(
            "views times series times lanes",
            || Guest { families: 256, kind: Kind::Histogram(63), views: 256, series: 256, ..HONEST }.component(),
            Refused("expected at most"),
        ),
        guest(
            "thousands of feeds with slots",
            || Guest { families: 256, kind: Kind::Histogram(511), views: 16, series: 256, ..HONEST }.component(),
            Refused("expected at most"),
        ),
        guest(
            "baselines of a wide map",
            || Guest { families: 1, kind: Kind::Histogram(512), views: 256, ..HONEST }.component(),
            Logged("entries are left out"),
        ),
        guest(
            "labels of 32 KB in each of 66 lines",
            || Guest { kind: Kind::Histogram(63), labels: 32, text_bytes: 1_024, ..HONEST }.component(),
            Folded,
        ),
        guest(
            "39 counters with labels of 32 KB",
            || Guest { families: 39, series: 39, labels: 32, text_bytes: 1_024, ..HONEST }.component(),
            Folded,
        ),
        guest(
            "a histogram of 512 bounds with a long label",
            || Guest { kind: Kind::Histogram(512), text_bytes: 1_024, ..HONEST }.component(),
            Folded,
        ),
        guest(
            "histograms of native buckets",
            || Guest { families: 64, series: 64, kind: Kind::Native(500), ..HONEST }.component(),
            Folded,
        ),
        guest(
            "fixed labels of 32 KB in each of 515 lines",
            || {
                Guest {
                    families: 16,
                    series: 16,
                    kind: Kind::Histogram(512),
                    labels: 32,
                    label: Label::Fixed(1_024),
                    ..HONEST
                }
                .component()
            },
            Refused("in an answer take"),
        ),
        guest(
            "fixed labels for each CPU",
            || {
                let label = Label::CpuAndFixed(1_024);
                Guest { families: 256, series: 256, labels: 32, label, map: Map::ByCpu, ..HONEST }.component()
            },
            Bounded,
        ),
        guest("help texts", || Guest { families: 256, series: 256, help_bytes: 1_024, ..HONEST }.component(), Runs),
        guest(
            "a manifest of a million labels",
            || {
                let label = Label::Fixed(64);
                Guest { families: 256, series: 256, views: 256, labels: 32, label, ..HONEST }.component()
            },
            Refused("copied out more than 16777216 bytes"),
        ),
        Case {
            keys: Keys::Many(100_000),
            ..guest(
                "256 views of a large map",
                || Guest { views: 256, map: Map::Fresh, ..HONEST }.component(),
                Logged("entries are left out"),
            )
        },
    ]
}

fn answers() -> Vec<Case> {
    vec![
        Case {
            limits: "memory: 64MiB, decode: 500ms",
            ..guest("label values of 160 KB", || Guest { text_bytes: 160 << 10, ..HONEST }.component(), Runs)
        },
        Case {
            limits: "memory: 64MiB, decode: 500ms",
            ..guest(
                "refusals of 160 KB",
                || Guest { text_bytes: 160 << 10, answer: Answer::Refusals, ..HONEST }.component(),
                Runs,
            )
        },
        Case {
            keys: Keys::Trickle,
            ..guest(
                "every second call traps",
                || Guest { map: Map::Fresh, decode: EVERY_SECOND_CALL_TRAPS, ..HONEST }.component(),
                BacksOff("trap"),
            )
        },
        Case {
            keys: Keys::Trickle,
            ..guest(
                "every second call traps, and each start is slow",
                || slow_and_fails_in_its_second_call(SLOW_TURNS),
                Bounded,
            )
        },
        Case {
            keys: Keys::Trickle,
            ..guest(
                "every second call spins",
                || Guest { map: Map::Fresh, decode: EVERY_SECOND_CALL_SPINS, ..HONEST }.component(),
                BacksOff("deadline"),
            )
        },
        Case {
            keys: Keys::Trickle,
            ..guest(
                "every call traps, and each start is slow",
                || Guest { map: Map::Fresh, describe_turns: SLOW_TURNS, decode: "unreachable", ..HONEST }.component(),
                Bounded,
            )
        },
        // The failure was reported as one of memory, because an earlier call had asked for too much.
        Case {
            keys: Keys::Trickle,
            ..guest(
                "a trap after a memory that may not grow",
                || Guest { map: Map::Fresh, decode: TRAP_AFTER_TOO_MUCH_MEMORY, ..HONEST }.component(),
                BacksOff("trap"),
            )
        },
        guest(
            "a memory that may not grow",
            || Guest { decode: TOO_MUCH_MEMORY, ..HONEST }.component(),
            BacksOff("memory"),
        ),
    ]
}

fn instances() -> Vec<Case> {
    const INSTANCES: &str = "instances of components and modules, expected at most 256";
    vec![
        file("nested instances", || File::honest().component(&files::nested_instances()).bytes(), Refused(INSTANCES)),
        file(
            "nested instances and padding",
            || File::honest().component(&files::nested_instances()).padded(PADDING).bytes(),
            Refused(INSTANCES),
        ),
        file(
            "instances of an import",
            || File::honest().component(&files::instances_of_an_import()).bytes(),
            Refused("it instantiates a component that it imports"),
        ),
        Case {
            limits: "memory: 8MiB",
            ..file(
                "globals in sixty instances",
                || File::honest().module(&files::globals(12_000), 60).bytes(),
                Refused("limits.memory is 8388608"),
            )
        },
        file(
            "a million globals",
            || File::honest().module(&files::globals(1_000_000), 1).bytes(),
            Refused("bytes of types, names and tables of functions"),
        ),
        file("tables", || File::honest().module(&files::tables(), 60).bytes(), Runs),
        file(
            "tables of many instances",
            || File::honest().module("(module (table 90000 funcref))", 2).bytes(),
            Refused("table"),
        ),
        file("memories", || File::honest().module(&files::memory(200), 10).bytes(), Refused("memory")),
        file("seventy instances", || File::honest().module("(module)", 70).bytes(), Refused("resource limit exceeded")),
    ]
}

fn compiled() -> Vec<Case> {
    vec![
        file("padding", || File::honest().padded(PADDING).bytes(), Runs),
        file(
            "code that expands",
            || File::honest().module(&files::expanding_code(2), 0).bytes(),
            Refused("compiled form has"),
        ),
        file(
            "code that expands, and padding",
            || File::honest().module(&files::expanding_code(2), 0).padded(PADDING).bytes(),
            Refused("compiled form has"),
        ),
        file(
            "code that takes long, and padding",
            || File::honest().module(&time_bomb_module(), 0).padded(PADDING).bytes(),
            Slow,
        ),
        file(
            "code that takes memory, and padding",
            || File::honest().module(&memory_bomb_module(), 0).padded(PADDING).bytes(),
            Refused("compiling it took more than 552 MiB of memory"),
        ),
        file(
            "data that nothing uses",
            || File::honest().binary_module(&files::passive_data(40 << 20), 0).bytes(),
            Runs,
        ),
        file(
            "images of sparse memories",
            || (0..20).fold(File::honest(), |file, _| file.module(&files::sparse_image(), 0)).bytes(),
            Bounded,
        ),
        file(
            "elements that nothing uses",
            || File::honest().module(&files::passive_elements(10_000_000), 0).bytes(),
            Refused("bytes of types, names and tables of functions"),
        ),
        file("distinct types", || File::honest().module(&files::distinct_types(150_000), 0).bytes(), Bounded),
        file("tiny functions", || File::honest().module(&files::tiny_functions(300_000), 0).bytes(), Bounded),
        file("exports", || File::honest().module(&files::exports(300_000), 0).bytes(), Bounded),
        file(
            "a name of 30 MB",
            || File::honest().module(&files::long_name(30 << 20), 0).bytes(),
            Refused("bytes of types, names and tables of functions"),
        ),
    ]
}
