//! llcstat as a test configures it.

use std::fs;

use ebhost_tests::{Folder, committed};

/// A folder with llcstat alone, with these sections in its `plugin.yaml`.
pub(crate) fn llcstat(sections: &str) -> Folder {
    let folder = Folder::new();
    let package = folder.path().join("llcstat");
    fs::create_dir(&package).expect("a new folder in our own");
    for file in ["llcstat.wasm", "llcstat.bpf.o"] {
        fs::copy(committed().join("llcstat").join(file), package.join(file)).expect("a committed file is copied");
    }
    let text = format!("name: llcstat\ncomponent: llcstat.wasm\ngrants: [cgroup]\n{sections}");
    fs::write(package.join("plugin.yaml"), text).expect("our own file");
    folder
}

/// With these two events, charged by `cgroup`, `comm` or `pid` at every switch.
pub(crate) fn switched(by: &str, events: &str, names: &str) -> Folder {
    let number = ["none", "cgroup", "comm", "pid"].iter().position(|known| *known == by).expect("a known by");
    llcstat(&format!(
        "perf:\n  llc: {{ events: [{events}], maps: [references, misses] }}\n\
         bpf:\n  object: llcstat.bpf.o\n  programs: [sched_switch, sched_process_exit]\n  globals: {{ targ_by: {number} }}\n  \
         max_entries: {{ places: 1024 per cpu, folded: 2 per cpu }}\n\
         config: {{ by: {by}, names: [{names}] }}\n"
    ))
}
