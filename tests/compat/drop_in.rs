//! A folder of drop-in configurations: objects compiled for the test, YAML as users of ebpf_exporter write it.

use std::{fs, path::Path};

use ebhost_tests::{Ebhost, Folder, KernelMap, Start, compile};

/// Macros for maps of the types and sizes that configurations read. Keys are bytes.
const MAPS: &str = "
enum { HASH = 1, ARRAY = 2, PERF_EVENT_ARRAY = 4, PER_CPU_HASH = 5, PER_CPU_ARRAY = 6, LRU_HASH = 9 };
#define TABLE(name, kind, key_bytes, entries) \\
    struct { int (*type)[kind]; int (*max_entries)[entries]; int (*key_size)[key_bytes]; int (*value_size)[8]; } \\
    name SEC(\".maps\")
#define RING(name, bytes) struct { int (*type)[27]; int (*max_entries)[bytes]; } name SEC(\".maps\")
#define EVENTS(name) \\
    struct { int (*type)[PERF_EVENT_ARRAY]; int (*key_size)[4]; int (*value_size)[4]; } name SEC(\".maps\")
";

/// Every object needs a program.
const IDLE: &str = "SEC(\"raw_tp/sched_process_exec\") int idle(void *context) { return 0; }";

/// A folder for `--config.dir`.
pub(crate) struct DropIns(Folder);

impl DropIns {
    pub(crate) fn new() -> Self {
        Self(Folder::new())
    }

    /// A folder with one configuration of this name.
    pub(crate) fn with(name: &str, source: &str, yaml: &str) -> Self {
        Self::new().and(name, source, yaml)
    }

    pub(crate) fn and(self, name: &str, source: &str, yaml: &str) -> Self {
        let program = if source.contains("SEC(") { "" } else { IDLE };
        compile(&format!("{MAPS}{source}{program}"), "bpf", &self.path().join(format!("{name}.bpf.o")));
        self.write(name, yaml);
        self
    }

    /// Writes or replaces the YAML of a configuration.
    pub(crate) fn write(&self, name: &str, yaml: &str) {
        fs::write(self.path().join(format!("{name}.yaml")), yaml).expect("our own folder");
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn start(&self, names: &str) -> Start {
        Start::drop_ins(self.path(), names)
    }

    /// Starts a host that loads every configuration, and waits until it listens.
    pub(crate) fn listening(&self, names: &str) -> Ebhost {
        self.start(names).args(&["--config.strict"]).listening()
    }
}

/// Writes an entry into a map of the host, in a per-CPU map on every CPU.
pub(crate) fn put(host: &Ebhost, map: &str, key: &[u8], value: u64) {
    let map = KernelMap::of(host.pid(), map);
    assert!(map.update(key, &value.to_le_bytes().repeat(map.cpus())), "there is room");
}

/// The drop-ins' own metrics as they are served, line by line.
pub(crate) fn served(host: &Ebhost) -> Vec<String> {
    let _ = host.scrape(); // is strict about the form
    let answer = host.get("/metrics", &[]);
    let own = ["build_info", "enabled_configs", "ebpf_program_", "decoder_errors"];
    let is_own = |line: &str| own.iter().any(|own| line.contains(&format!("ebpf_exporter_{own}")));
    let lines = answer.text().lines().filter(|line| line.contains("ebpf_exporter_") && !is_own(line));
    lines.map(str::to_owned).collect()
}

/// The lines of one family, samples sorted: maps have no order.
pub(crate) fn family(host: &Ebhost, name: &str) -> Vec<String> {
    let begins = |line: &String| {
        let name_of = |line: &str| line.split([' ', '{']).next().unwrap_or_default().to_owned();
        match line.strip_prefix("# ") {
            Some(meta) => meta.split(' ').nth(1) == Some(name),
            None => {
                let sample = name_of(line);
                ["", "_bucket", "_sum", "_count"].iter().any(|suffix| sample == format!("{name}{suffix}"))
            }
        }
    };
    served(host).into_iter().filter(begins).collect()
}
