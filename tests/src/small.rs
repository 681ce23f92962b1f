//! Small objects, each for one thing that libbpf's loader does; and the counts that they have after `ebhostdo COUNT`.
//!
//! Their sources are in `tests/programs/libbpf`. Each is a drop-in configuration of its own, with a counter for each of its maps.

use std::{fmt::Write as _, fs, path::Path, process::Command};

use crate::{debian, everything::Marks, exposition::Exposition, folder::workspace, process::output, sample::Labels};

/// One object.
#[derive(Debug, Clone, Copy)]
pub struct Small {
    pub name: &'static str,
    /// The maps that are counters of its configuration.
    pub maps: &'static [&'static str],
    /// Counts by map and slot, for COUNT of each thing that the process does.
    pub counts: fn(u64) -> Vec<(&'static str, u32, u64)>,
    /// Programs that are attached nowhere, on every kernel.
    pub unplaced: &'static [&'static str],
}

/// The objects that every kernel from 5.10 loads.
pub const SMALL: [Small; 9] = [
    Small {
        name: "hidden",
        maps: &["hidden"],
        counts: |n| vec![("hidden", 0, 7 * n), ("hidden", 1, 12 * n)],
        unplaced: &[],
    },
    Small {
        name: "core_arrays",
        maps: &["core_arrays"],
        counts: |n| [(0, n), (1, 16 * n), (2, n), (3, n)].map(|(slot, count)| ("core_arrays", slot, count)).to_vec(),
        unplaced: &[],
    },
    Small {
        name: "core_questions",
        maps: &["core_questions"],
        counts: |n| {
            [(0, n), (1, n), (2, 0), (3, 0), (4, 0), (5, 0)]
                .map(|(slot, count)| ("core_questions", slot, count))
                .to_vec()
        },
        unplaced: &[],
    },
    Small {
        name: "no_target",
        maps: &["no_target"],
        counts: |n| vec![("no_target", 0, n)],
        unplaced: &["somewhere", "in_no_file", "on_no_event", "on_socket"],
    },
    Small {
        name: "initial_values",
        maps: &["initial_values", "inner_first", "inner_second"],
        counts: |n| {
            vec![
                ("initial_values", 0, n),
                ("initial_values", 6, 0),
                ("initial_values", 7, 0),
                ("inner_first", 0, n),
                ("inner_second", 0, 2 * n),
            ]
        },
        // It is jumped to.
        unplaced: &["jumped_to"],
    },
    Small {
        name: "optional",
        maps: &["optional"],
        counts: |n| vec![("optional", 0, n), ("optional", 1, 0)],
        unplaced: &[],
    },
    Small {
        name: "versions",
        maps: &["versions"],
        counts: |n| vec![("versions", 0, n), ("versions", 2, n), ("versions", 3, 0)],
        unplaced: &[],
    },
    Small { name: "small_events", maps: &["small_events"], counts: |n| vec![("small_events", 7, n)], unplaced: &[] },
    Small {
        name: "built",
        maps: &["built"],
        counts: |n| {
            [(0, n), (1, 12 * n), (2, 5 * n), (3, n), (4, n)].map(|(slot, count)| ("built", slot, count)).to_vec()
        },
        unplaced: &[],
    },
];

/// libbpf's header for USDT probes; programs read arguments from 5.15 on.
pub const USDT_ARGS: Small = Small {
    name: "usdt_args",
    maps: &["usdt_args"],
    counts: |n| {
        [(0, n), (1, n * (n - 1) / 2), (2, 2 * n), (3, 7 * n), (4, 3 * n)]
            .map(|(slot, count)| ("usdt_args", slot, count))
            .to_vec()
    },
    unplaced: &[],
};

/// A kernel function that is called since 6.2; before, the program does without it.
pub const KERNEL_FUNCTIONS: Small = Small {
    name: "kernel_functions",
    maps: &["kernel_functions"],
    counts: |n| vec![("kernel_functions", 0, n), ("kernel_functions", 1, 0)],
    unplaced: &[],
};

/// How an object is compiled.
#[derive(Debug, Clone, Copy)]
pub struct Compiler {
    pub program: &'static str,
    pub args: &'static [&'static str],
}

pub const CLANG_19: Compiler = Compiler { program: "clang-19", args: &["-target", "bpf", "-g", "-mcpu=v3"] };

impl Compiler {
    /// Compiles `NAME.bpf.c`. `doer` is the path of the triggering program when the host attaches to it.
    pub fn compile(self, name: &str, object: &Path, doer: &Path, marks: &Marks) {
        let folder = workspace().join("tests/programs/libbpf");
        let source = fs::read_to_string(folder.join(format!("{name}.bpf.c"))).expect("it lies beside the tests");
        let file = object.with_extension("c");
        fs::write(&file, source.replace("/DOER:", &format!("/{}:", doer.display()))).expect("our own folder");
        let mark = u64::from_le_bytes(marks.name.as_bytes().try_into().expect("a name of 8 bytes"));
        let mut command = Command::new(self.program);
        command.args(self.args).args(["-O2", &format!("-DTARG_NAME={mark}ull"), "-I"]).arg(&folder);
        if name == USDT_ARGS.name {
            command
                .arg("-isystem")
                .arg(debian::LIBBPF.root().join("usr/include"))
                .args(["-isystem", "/usr/include/x86_64-linux-gnu"]);
        }
        output(command.arg("-c").arg(&file).arg("-o").arg(object));
    }
}

impl Small {
    /// Writes the object and its configuration into `folder`.
    pub fn write(&self, folder: &Path, doer: &Path, marks: &Marks) {
        CLANG_19.compile(self.name, &folder.join(format!("{}.bpf.o", self.name)), doer, marks);
        self.write_configuration(folder, self.name);
    }

    /// Writes the configuration under a name.
    pub fn write_configuration(&self, folder: &Path, name: &str) {
        let events = if self.name == "small_events" { "      perf_event_array: true\n" } else { "" };
        let mut text = "metrics:\n  counters:\n".to_owned();
        for map in self.maps {
            let _ = writeln!(
                text,
                "    - name: {map}\n      help: Counts by slot.\n{events}      labels: [{{ name: slot, size: 4, decoders: [{{ name: uint }}] }}]"
            );
        }
        fs::write(folder.join(format!("{name}.yaml")), text).expect("our own folder");
    }

    /// Every count that is not as expected.
    pub fn wrong(&self, served: &Exposition, count: u64) -> Vec<String> {
        let differ = |(map, slot, expected): (&str, u32, u64)| {
            let found = served.value(&format!("ebpf_exporter_{map}"), &[("slot", &slot.to_string())]);
            (found != Some(expected as f64)).then(|| format!("{map} {slot}: counted {found:?}, expected {expected}"))
        };
        (self.counts)(count).into_iter().filter_map(differ).collect()
    }
}

/// The programs of a configuration that are not attached, each with the reason.
pub fn left_out(served: &Exposition, configuration: &str) -> Vec<(String, String)> {
    let family = served.families.get("ebhost_program_attached").expect("programs are reported");
    let is_its = |labels: &Labels| labels.get("plugin").map(String::as_str) == Some(configuration);
    let samples = family.samples.iter().filter(|sample| is_its(&sample.labels) && sample.value == 0.0);
    samples.map(|sample| (sample.labels["program"].clone(), sample.labels["reason"].clone())).collect()
}
