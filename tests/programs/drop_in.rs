//! The same programs in a drop-in configuration, relocated by the BTF in a file; and a configuration that names a symbol that this
//! kernel does not have.

use std::fs;

use ebhost_tests::{
    Folder, Start, alone,
    everything::{Doer, HOPELESS, Marks, doer, write_object},
    needs,
};

const COUNT: u64 = 12;
const CONFIGURATION: &str = "
metrics:
  counters:
    - name: array
      help: Counts by slot.
      labels:
        - name: slot
          size: 4
          decoders:
            - name: uint
kaddrs:
  - schedule
  - no_such_symbol_here
";

#[test]
fn a_drop_in_has_every_type_of_program_and_goes_on_without_those_that_fail() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (folder, marks) = (Folder::new(), Marks::own());
    write_object(&folder.path().join("everything.bpf.o"), &doer(), &marks);
    fs::write(folder.path().join("everything.yaml"), CONFIGURATION).expect("a file in our own folder");
    let types = folder.path().join("types");
    fs::copy("/sys/kernel/btf/vmlinux", &types).expect("the kernel shows its types");

    let host = Start::drop_ins(folder.path(), "everything").args(&["--btf.path", types.to_str().expect("a path")]);
    let host = host.listening();
    let doing = Doer::run(COUNT, &marks);
    let served = host.scrape();
    // TRACEPOINT, UPROBE, USDT, XDP.
    for slot in ["0", "3", "6", "12"] {
        assert_eq!(served.value("ebpf_exporter_array", &[("slot", slot)]), Some(COUNT as f64), "{slot}");
    }
    let attached = &served.families["ebpf_exporter_ebpf_program_attached"].samples;
    let out = attached.iter().filter(|sample| sample.value == 0.0).count();
    assert!(out >= HOPELESS.len() && attached.len() - out >= 15, "{attached:?}");
    assert_eq!(served.value("ebhost_kernel_symbols_missing", &[("plugin", "everything")]), Some(1.0));
    assert_eq!(doing.semaphore, 1);
    drop(doing);
    let log = host.stop();
    assert!(log.text().contains("no_such_symbol_here"), "{}", log.text());
}

#[test]
fn a_file_without_btf_is_named() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let folder = Folder::new();
    write_object(&folder.path().join("everything.bpf.o"), &doer(), &Marks::own());
    fs::write(folder.path().join("everything.yaml"), CONFIGURATION).expect("a file in our own folder");
    let types = folder.path().join("types");
    fs::write(&types, "no types").expect("a file in our own folder");
    let host = Start::drop_ins(folder.path(), "everything").args(&["--btf.path", types.to_str().expect("a path")]);
    let log = host.listening().stop();
    let message = format!("{}: is no BTF that can be read", types.display());
    assert!(log.text().contains(&message), "{}", log.text());
}
