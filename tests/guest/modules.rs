//! A package whose module is loaded long after the host has started.

use std::{fs, process::Command};

use ebhost_tests::{Folder, compile, needs, output};

use crate::guest::Guest;

/// Counts syncs of files, at a tracepoint of the module ext4.
const SOURCE: &str = "
    MAP(counts, u32, u64);
    static void *(*lookup)(void *, const void *) = (void *)1;
    SEC(\"raw_tp/ext4_sync_file_enter\") int syncs(void *ctx) {
        u32 key = 0;
        u64 *count = lookup(&counts, &key);
        if (count) __sync_fetch_and_add(count, 1);
        return 0;
    }";
const PACKAGE: &str = "name: syncs\ncomponent: builtin\nbpf: { object: syncs.bpf.o }\n\
    config: { tables: [{ table: counts, kind: plain, key: [{ size: 4 }], \
    families: [{ name: syncs_total, help: Syncs of files., number: 0 }] }] }\n";

#[test]
fn syncs_are_counted_although_the_file_system_was_loaded_after_the_host() {
    needs!(Guest, Tool("mkfs.ext4"), Tool("clang-19"));
    let guest = Guest::x86("6.12", "modules-init").with_cpus("1");
    guest.put_ebhost();
    guest.put_modules(&["ext4"]);
    let folder = Folder::new();
    let package = folder.path().join("syncs");
    fs::create_dir(&package).expect("our own folder");
    compile(SOURCE, "bpf", &package.join("syncs.bpf.o"));
    fs::write(package.join("plugin.yaml"), PACKAGE).expect("our own folder");
    guest.put(folder.path(), "plugins/modules");
    let disk = guest.disk_image(1 << 26);
    output(Command::new("mkfs.ext4").args(["-q", "-O", "^has_journal"]).arg(&disk));
    let drive = format!("file={},if=none,id=n,format=raw", disk.display());
    let guest = guest.with_devices(&format!("-device nvme,serial=a,drive=n -drive {drive}"));
    let console = guest.boot();
    let log = console.section("log modules");
    let left_out = log.lines().find(|line| line.contains("package left out")).unwrap_or_else(|| panic!("{log}"));
    assert!(left_out.contains("ext4_sync_file_enter"), "the log says which tracepoint is absent: {left_out}");
    let syncs = |moment| console.served(moment).value("ebhost_syncs_total", &[]);
    assert_eq!(syncs("absent"), None, "{log}");
    assert_eq!(syncs("present"), Some(0.0), "{log}");
    assert_eq!(syncs("synced"), Some(5.0), "{log}");
}
