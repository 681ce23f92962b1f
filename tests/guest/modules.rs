//! A package whose module is loaded long after the host has started.

use ebhost_tests::{committed, needs};

use crate::guest::Guest;

#[test]
fn nvme_commands_are_counted_although_the_driver_was_loaded_after_the_host() {
    needs!(Guest);
    let guest = Guest::x86_with_modules("6.12", "modules-init").with_cpus("1");
    guest.put_ebhost();
    guest.put_modules(&["nvme"]);
    // The other one runs from the start, so that the host is ready.
    ["nvme", "oom"].iter().for_each(|name| guest.put(&committed().join(name), &format!("plugins/modules/{name}")));
    guest.write("settings.yaml", b"plugins: { nvme: on }\n");
    let disk = guest.disk_image(1 << 26);
    let drive = format!("file={},if=none,id=n,format=raw", disk.display());
    let guest = guest.with_devices(&format!("-device nvme,serial=a,drive=n -drive {drive}"));
    let console = guest.boot();
    let log = console.section("log modules");
    let left_out = log.lines().find(|line| line.contains("package left out")).unwrap_or_else(|| panic!("{log}"));
    assert!(left_out.contains("nvme_complete_rq"), "the log says which tracepoint is absent: {left_out}");
    let reads = |moment| {
        let labels = [("device", "nvme0"), ("opcode", "read"), ("status", "success")];
        console.served(moment).value("ebhost_nvme_commands_total", &labels)
    };
    assert_eq!(reads("absent"), None, "{log}");
    let disk = |moment| console.numbers(&format!("nvme {moment}"))[0];
    let grown = reads("read").unwrap_or(0.0) - reads("present").unwrap_or(0.0);
    assert_eq!(grown, disk("read") - disk("present"), "{log}");
    assert_eq!(grown, 300.0, "{log}");
}
