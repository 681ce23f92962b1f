//! A package whose module is loaded long after the host has started.

use ebhost_tests::{Folder, committed, copy_package, needs};

use crate::guest::Guest;

#[test]
fn nvme_commands_are_counted_although_the_driver_was_loaded_after_the_host() {
    needs!(Guest);
    let guest = Guest::x86("6.12", "modules-init").with_cpus("1");
    guest.put_ebhost();
    guest.put_modules(&["nvme"]);
    let folder = Folder::new();
    copy_package(&committed().join("nvme"), &folder.path().join("nvme"));
    guest.put(folder.path(), "plugins/modules");
    guest.write("settings.yaml", b"plugins: { nvme: on }\n");
    let disk = guest.disk_image(1 << 26);
    let drive = format!("file={},if=none,id=n,format=raw", disk.display());
    let guest = guest.with_devices(&format!("-device nvme,serial=a,drive=n -drive {drive}"));
    let console = guest.boot();
    let log = console.section("log modules");
    let left_out = log.lines().find(|line| line.contains("package left out")).unwrap_or_else(|| panic!("{log}"));
    assert!(left_out.contains("nvme_complete_rq"), "the log says which tracepoint is absent: {left_out}");
    let up = |moment| console.served(moment).value("ebhost_plugin_up", &[("plugin", "nvme")]);
    assert_ne!(up("absent"), Some(1.0), "{log}");
    assert_eq!(up("present"), Some(1.0), "{log}");
    let labels = [("device", "nvme0"), ("opcode", "read"), ("status", "success")];
    let read = |moment| console.served(moment).value("ebhost_nvme_commands_total", &labels).unwrap_or_default();
    assert!(read("read") - read("present") >= 100.0, "{} and {}", read("present"), read("read"));
}
