//! Maps pinned by name: they outlive the host, under Landlock too.

use std::fs;

use ebhost_tests::{Folder, Start, compile, needs, workspace};

/// A map of the component `maps` that is pinned, and a program that does nothing.
const OBJECT: &str = "
struct { int (*type)[2]; int (*max_entries)[4]; int (*pinning)[1]; u32 *key; u64 *value; } array SEC(\".maps\");
SEC(\"raw_tp/sys_enter\") int on_enter(void *ctx) { return 0; }
";

/// A BPF file system of the test's own.
const MOUNTED: &str = "mount -t bpf bpf /sys/fs/bpf && exec \"$0\" \"$@\"";

#[test]
fn maps_can_be_pinned_with_landlock_on() {
    needs!(Root, Tool("clang-19"), Tool("unshare"), Tool("mount"));
    let folder = Folder::new();
    let package = folder.path().join("pinned");
    fs::create_dir(&package).expect("a folder in our own");
    compile(OBJECT, "bpf", &package.join("pinned.bpf.o"));
    fs::copy(workspace().join("bench/packages/maps/maps.wasm"), package.join("maps.wasm")).expect("a committed file");
    let yaml = "name: pinned\ncomponent: maps.wasm\nbpf: { object: pinned.bpf.o }\nconfig: { read: [array] }\n";
    fs::write(package.join("plugin.yaml"), yaml).expect("a file in our own folder");

    let host = Start::by(&["unshare", "--mount", "sh", "-c", MOUNTED], folder.path()).args(&["--strict"]).listening();
    assert!(host.scrape().value("ebhost_array_calls_total", &[("slot", "1")]).is_some());
    let pin = format!("/proc/{}/root/sys/fs/bpf/array", host.pid());
    assert!(fs::metadata(&pin).is_ok(), "{pin}: the map is pinned under its name");
    host.stop();
}
