//! Maps pinned by name, in a BPF file system of the test's own: each test runs itself again in a private mount namespace.
//!
//! They need root, clang-19 and unshare(1), and are skipped by name without them: they compile their objects.

use std::{collections::BTreeMap, env, fs, path::PathBuf, process::Command};

use ebhost_kernel::{KernelContext, LoadError, Loaded, ObjectFile, PinError, Wanted, load};
use ebhost_package::{Artefact, Bpf};

const INSIDE: &str = "EBHOST_TEST_HAS_OWN_BPFFS";
const SOURCE: &str = r#"
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
char LICENSE[] SEC("license") = "GPL";
struct value { char bytes[SIZE]; };
struct {
    int (*type)[1];
    int (*max_entries)[64];
    int (*pinning)[1];
    u64 *key;
    struct value *value;
} counts SEC(".maps");
SEC("raw_tp/sys_enter") int on_enter(void *ctx) { return 0; }
"#;

/// Whether the test is done: it was run again with a BPF file system of its own, or has to be skipped.
fn is_done(test: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return false;
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = |tool: &str| env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if !rustix::process::geteuid().is_root() || !is_there("clang-19") || !is_there("unshare") {
        eprintln!("skipped: pins need root, clang-19 and unshare");
        return true;
    }
    let script = "mount -t bpf bpf /sys/fs/bpf && exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    true
}

/// Loads a version of the object whose map `counts` has values of this size.
fn loaded(value_size: usize) -> Result<Loaded, LoadError> {
    let object = env::temp_dir().join(format!("ebhost-pins-{}-{value_size}.o", std::process::id()));
    let source = object.with_extension("c");
    fs::write(&source, SOURCE.replace("SIZE", &value_size.to_string())).unwrap();
    let mut clang = Command::new("clang-19");
    clang.args(["-target", "bpf", "-g", "-O2", "-c", "-o"]).arg(&object).arg(&source);
    assert!(clang.status().unwrap().success());
    let bytes = fs::read(&object).unwrap();
    [&source, &object].iter().for_each(|file| fs::remove_file(file).unwrap());
    let bpf = Bpf::of(Artefact::new(object, bytes));
    let file = ObjectFile::parse(&bpf).unwrap();
    let wanted = [Wanted::by_views("counts", vec![value_size])];
    load(Some((&file, &bpf)), &BTreeMap::new(), &wanted, u64::MAX, &KernelContext::new())
}

#[test]
fn a_pinned_map_with_larger_values_is_refused_and_does_not_overflow_the_reader() {
    if is_done("a_pinned_map_with_larger_values_is_refused_and_does_not_overflow_the_reader") {
        return;
    }
    let first = loaded(4096).unwrap();
    let error = loaded(8).unwrap_err();
    let LoadError::Pin { map, error: PinError::OtherShape { pin, found, expected }, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((map.as_str(), pin), ("counts", &PathBuf::from("/sys/fs/bpf/counts")));
    assert_eq!((found.value_size, expected.value_size), (4096, 8));
    let message = error.to_string();
    for part in
        ["counts is a map of another shape: found ", "values of 4096 bytes", "values of 8 bytes", "remove that pin"]
    {
        assert!(message.contains(part), "{part}: {message}");
    }
    drop(first);
    assert!(loaded(4096).is_ok(), "the pin outlives the first load, and fits its own version");
}

#[test]
fn a_pin_outside_of_a_bpf_file_system_says_what_to_mount() {
    if is_done("a_pin_outside_of_a_bpf_file_system_says_what_to_mount") {
        return;
    }
    let mount = Command::new("mount").args(["-t", "tmpfs", "tmpfs", "/sys/fs/bpf"]).status();
    assert!(mount.unwrap().success());
    let message = loaded(8).unwrap_err().to_string();
    assert!(message.contains("its pin /sys/fs/bpf/counts cannot be created: Operation not permitted"), "{message}");
    assert!(message.contains("mount -t bpf bpf /sys/fs/bpf"), "{message}");
}
