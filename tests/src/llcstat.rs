//! The package llcstat with the configuration that a test needs.

use std::{fs, path::Path};

use crate::folder::{Folder, committed};

/// A folder with llcstat alone, with these sections in its `plugin.yaml`.
pub fn alone(sections: &str) -> Folder {
    let folder = Folder::new();
    add(folder.path(), "llcstat", sections);
    folder
}

/// Adds llcstat to a folder under another name.
pub fn add(folder: &Path, name: &str, sections: &str) {
    let package = folder.join(name);
    fs::create_dir_all(&package).expect("a new folder in our own");
    for file in ["llcstat.wasm", "llcstat.bpf.o"] {
        fs::copy(committed().join("llcstat").join(file), package.join(file)).expect("a committed file is copied");
    }
    let text = format!("name: {name}\ncomponent: llcstat.wasm\ngrants: [live-cgroup]\n{sections}");
    fs::write(package.join("plugin.yaml"), text).expect("our own file");
}

/// A folder with llcstat that attributes these two events by `cgroup`, `comm` or `pid` at every context switch.
pub fn switched(by: &str, events: &str, names: &str) -> Folder {
    alone(&charged(by, events, names))
}

/// The sections of `plugin.yaml` for that.
pub fn charged(by: &str, events: &str, names: &str) -> String {
    let number = ["none", "cgroup", "comm", "pid"].iter().position(|known| *known == by).expect("a known by");
    format!(
        "perf:\n  llc: {{ events: [{events}], maps: [references, misses] }}\n\
         bpf:\n  object: llcstat.bpf.o\n  programs: [sched_switch, sched_process_exit]\n  globals: {{ targ_by: {number} }}\n  \
         max_entries: {{ charges: 1024 per cpu, charges_spill: 4096, folded: 2 per cpu }}\n\
         config: {{ by: {by}, names: [{names}] }}\n"
    )
}
