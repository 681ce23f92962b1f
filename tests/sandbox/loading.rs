//! Faults of the component file itself: not a component, truncated, start functions, imports, compilation bombs.

use std::{fs, path::Path, process::Command};

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, binary, needs, workspace};

use crate::rig::{
    Misbehaving, Witness, plugin_value, replace, resident, scrape, scrape_until, start, wait_for_refusal,
};

/// Runs a host on biolatency and on packages with these components; returns the error for each.
fn refusals(components: &[(&str, Vec<u8>)]) -> Vec<String> {
    let misbehaving = Misbehaving { folder: Folder::with_biolatency() };
    for (name, bytes) in components {
        let package = misbehaving.add(name, &format!("family: {}_total", name.replace('-', "_")));
        replace(&package.join("misbehaving.wasm"), bytes);
    }
    let host = start(&misbehaving.folder, &[]);
    let served = scrape(&host);
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    let errors = components.iter().map(|(name, _)| error_of(&host, name)).collect();
    for (name, _) in components {
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", name)]), Some(0.0), "{name}");
    }
    assert!(resident(&host) < 512 << 20, "{} bytes resident", resident(&host));
    host.stop();
    errors
}

/// The first error in the log about a package.
fn error_of(host: &Ebhost, name: &str) -> String {
    let folder = format!("/{name}/");
    let lines = host.log().lines();
    let mut errors = lines.iter().filter(|line| line.level == "ERROR" && line.text.contains(&folder));
    let error = errors.next().unwrap_or_else(|| panic!("{name} is not refused:\n{}", host.log().text()));
    error.text.clone()
}

pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("the test's own text is valid: {error}"))
}

/// A component with the contract's export around a core module: it compiles, and fails when it is linked or started.
pub(crate) fn around(module: &str) -> Vec<u8> {
    let fields = module.strip_prefix("(module").and_then(|fields| fields.strip_suffix(')')).unwrap_or(module);
    wat(&format!(
        "(component (core module $m {fields}) (core instance $i (instantiate $m)) (instance $d) (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))"
    ))
}

/// Loops with thousands of variables and thousands of back edges. Each back edge passes on each variable, so 700 KB of code become
/// hundreds of millions of operands in the compiler.
pub(crate) fn time_bomb_module() -> String {
    let locals = "(local i64)".repeat(4_000);
    let set = |n: usize| format!("(local.set {n} (i64.mul (local.get {}) (i64.const {n})))", (n * 7 + 13) % 4_000);
    let sets: String = (0..4_000).map(set).collect();
    let branches: String = (0..6_000).map(|n| format!("(br_if 0 (i64.eqz (local.get {})))", n % 4_000)).collect();
    format!("(module {})", format!("(func {locals} (loop {sets} {branches}))").repeat(30))
}

/// Nested blocks, each with a thousand results, and a jump table to all of them: 100 KB of code become tens of millions of values in the
/// compiler, which exceeds its limit of memory long before its time limit.
pub(crate) fn memory_bomb_module() -> String {
    const BLOCKS: usize = 20_000;
    const RESULTS: usize = 1_000;
    let (blocks, ends) = ("block (type $t) ".repeat(BLOCKS), "end ".repeat(BLOCKS));
    let (values, drops) = ("i64.const 0 ".repeat(RESULTS), "drop ".repeat(RESULTS));
    let targets: String = (0..BLOCKS).map(|block| format!("{block} ")).collect();
    let results = "i64 ".repeat(RESULTS);
    format!(
        "(module (type $t (func (result {results}))) \
         (func (param i32) {blocks} {values} local.get 0 br_table {targets} {ends} {drops}))"
    )
}

const FITS_NOT: &str = "does not fit the contract";

/// Each fault, its component, and a part of the expected error, or of one of those expected.
///
/// How long a component may be compiled depends on the machine: one that measured itself in a slow moment may come to the next error of the one that
/// takes long. The test of budgets compares its time with the limit.
fn faults() -> Vec<(&'static str, Vec<u8>, &'static [&'static str])> {
    vec![
        ("empty", vec![], &["found an empty file"]),
        ("core", wat("(module)"), &["found a core module, expected a component"]),
        ("text", b"name: x".to_vec(), &["found a file that begins with 6e 61 6d 65"]),
        ("native", [b"\x7fELF".as_slice(), &[0; 60]].concat(), &["found an ELF file (a precompiled component?)"]),
        ("zeros", [b"\0asm\x0d\0\x01\0".as_slice(), &[0; 1 << 16]].concat(), &["is not a valid component"]),
        (
            "wasi",
            wat("(component (import \"wasi:cli/environment@0.2.0\" (instance)))"),
            &["imports `wasi:cli/environment@0.2.0`"],
        ),
        ("function", wat("(component (import \"exec\" (func)))"), &["imports `exec`"]),
        ("start-unreached", around("(func $s (loop (br 0))) (start $s)"), &[FITS_NOT]),
        ("shape", wat("(component (instance $d) (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))"), &[FITS_NOT]),
        ("cut", committed_misbehaving()[..40_000].to_vec(), &["is not a valid component"]),
        ("start-spins", with_spinning_start(&committed_misbehaving()), &["ran past its 2000 ms"]),
        ("time", around(&time_bomb_module()), &["compiling it took more than", FITS_NOT]),
        ("memory", around(&memory_bomb_module()), &["compiling it took more than 552 MiB of memory"]),
    ]
}

fn committed_misbehaving() -> Vec<u8> {
    fs::read(workspace().join("tests/sandbox/misbehaving/misbehaving.wasm")).expect("it is committed")
}

#[test]
fn each_is_left_out_at_the_start() {
    needs!(Root);
    let _alone = alone();
    let components: Vec<_> = faults().into_iter().map(|(name, bytes, _)| (name, bytes)).collect();
    for ((name, _, says), error) in faults().iter().zip(refusals(&components)) {
        assert!(says.iter().any(|says| error.contains(says)), "{name}: expected one of {says:?} in: {error}");
    }
}

/// As new versions, under load; biolatency's counts must equal the kernel's during each fault.
#[test]
fn each_beside_biolatency() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let disk = Disk::in_memory();
    let host = start(&misbehaving.folder, &[]);
    let whole = plugin_value(&scrape(&host), "ebhost_plugin_series");
    let witness = Witness { host: &host, disk: &disk };
    let wasm = misbehaving.package().join("misbehaving.wasm");
    for (fault, bytes, says) in faults() {
        witness.assert_matches_kernel(fault, || {
            let before = scrape(&host);
            let failures = |served: &Exposition| served.value("ebhost_reload_failures_total", &[]);
            replace(&wasm, &bytes);
            host.hang_up();
            let served = scrape_until(&host, fault, |served| failures(served) > failures(&before));
            wait_for_refusal(&host, fault, says);
            assert_eq!(plugin_value(&served, "ebhost_plugin_up"), Some(1.0), "{fault}");
            assert_eq!(plugin_value(&served, "ebhost_plugin_series"), whole, "{fault}");
            assert!(resident(&host) < 512 << 20, "{fault}: {} bytes resident", resident(&host));
            replace(&wasm, &committed_misbehaving());
            host.hang_up();
            scrape_until(&host, &format!("repaired after {fault}"), |served| {
                plugin_value(served, "ebhost_plugin_current") == Some(1.0)
            });
        });
    }
    host.stop();
}

/// `ebhost check` may be run on an untrusted package, so it compiles within the same limits.
#[test]
fn ebhost_check_reports_a_compilation_bomb() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    replace(&misbehaving.package().join("misbehaving.wasm"), &around(&memory_bomb_module()));
    let checked = Command::new(binary()).arg("check").arg(misbehaving.package()).output().expect("it starts");
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("compiling it took more than 552 MiB of memory"), "{said}");
}

/// A precompiled component is refused even if the engine's own compiler made it: by its name and by its content.
#[test]
fn a_precompiled_component() {
    needs!(Root);
    let _alone = alone();
    let (cache, misbehaving) = (Folder::new(), Misbehaving { folder: Folder::with_biolatency() });
    let cache = cache.path().join("cache");
    start(&misbehaving.folder, &["--cache.dir", &cache.display().to_string()]).stop();
    let cached = fs::read_dir(&cache).expect("the host made it").next().expect("one component").expect("a file");
    // The file begins with a digest of the rest.
    let compiled = fs::read(cached.path()).expect("a file of root's").split_off(32);
    assert!(compiled.starts_with(b"\x7fELF"), "compiled components are ELF files");

    let content = misbehaving.add("content", "family: content_total");
    replace(&content.join("misbehaving.wasm"), &compiled);
    let named = misbehaving.add("named", "family: named_total");
    fs::rename(named.join("misbehaving.wasm"), named.join("misbehaving.cwasm")).expect("our own file");
    replace(&named.join("misbehaving.cwasm"), &compiled);
    let yaml = fs::read_to_string(named.join("plugin.yaml")).expect("our own file");
    replace(&named.join("plugin.yaml"), yaml.replace("misbehaving.wasm", "misbehaving.cwasm").as_bytes());
    let host = start(&misbehaving.folder, &[]);
    let served = scrape(&host);
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    for (name, says) in [
        ("content", "misbehaving.wasm: found an ELF file (a precompiled component?)"),
        ("named", "plugin.yaml:3:1: found `misbehaving.cwasm`, expected a component"),
    ] {
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", name)]), Some(0.0), "{name}");
        let error = error_of(&host, name);
        assert!(error.contains(says), "{name}: expected `{says}` in: {error}");
    }
    host.stop();
}

/// Appends a core module whose start function never ends, and an instance of it.
fn with_spinning_start(component: &[u8]) -> Vec<u8> {
    let module = wat("(module (func $s (loop (br 0))) (start $s))");
    let mut bytes = component.to_vec();
    let modules = core_modules(component);
    bytes.push(1); // a core module section
    leb128(&mut bytes, module.len());
    bytes.extend_from_slice(&module);
    // A core instance section: one instance, made from that module, without arguments.
    let mut instance = vec![1, 0];
    leb128(&mut instance, modules);
    instance.push(0);
    bytes.push(2);
    leb128(&mut bytes, instance.len());
    bytes.extend_from_slice(&instance);
    bytes
}

/// The number of core modules at the top level of a component.
pub(crate) fn core_modules(component: &[u8]) -> usize {
    count_sections(component, 1)
}

/// The number of sections of a kind at the top level of a component.
pub(crate) fn count_sections(component: &[u8], kind: u8) -> usize {
    let (mut at, mut count) = (8, 0);
    while at < component.len() {
        let id = component[at];
        at += 1;
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = component[at];
            at += 1;
            size |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        count += usize::from(id == kind);
        at += size;
    }
    count
}

pub(crate) fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// Only a regular file of bounded size is read as a component.
#[test]
fn files_that_are_not_regular_or_too_large() {
    needs!(Root, Tool("mkfifo"));
    let _alone = alone();
    let misbehaving = Misbehaving { folder: Folder::with_biolatency() };
    let fifo = misbehaving.add("fifo", "family: fifo_total").join("misbehaving.wasm");
    fs::remove_file(&fifo).expect("our own file");
    ebhost_tests::output(Command::new("mkfifo").arg(&fifo));
    let large = misbehaving.add("large", "family: large_total").join("misbehaving.wasm");
    fs::File::create(&large).and_then(|file| file.set_len(65 << 20)).expect("our own file");
    let endless = misbehaving.add("endless", "family: endless_total").join("misbehaving.wasm");
    fs::remove_file(&endless)
        .and_then(|()| std::os::unix::fs::symlink(Path::new("/dev/zero"), &endless))
        .expect("our own");
    let host = start(&misbehaving.folder, &[]);
    assert_eq!(scrape(&host).value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    for (name, says) in [
        ("fifo", "it is not a regular file"),
        ("large", "found 68157440 bytes, expected at most 67108864"),
        ("endless", "it is not a regular file"),
    ] {
        let error = error_of(&host, name);
        assert!(error.contains(says), "{name}: expected `{says}` in: {error}");
    }
    host.stop();
}
