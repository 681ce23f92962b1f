//! Sins that a file commits before anything of it is asked: not a component, cut short, start functions, imports, bombs.

use std::{fs, path::Path};

use ebhost_tests::{Ebhost, Folder, needs};

use crate::rig::{Sinner, alone, replace, resident, scrape, start};

/// Runs a host on biolatency and packages of these components; gives what is said of each.
fn refusals(components: &[(&str, Vec<u8>)]) -> Vec<String> {
    let sinner = Sinner { folder: Folder::with_biolatency() };
    for (name, bytes) in components {
        let package = sinner.add(name, &format!("family: {}_total", name.replace('-', "_")));
        replace(&package.join("sinner.wasm"), bytes);
    }
    let host = start(&sinner.folder, &[]);
    let served = scrape(&host);
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    let said = components.iter().map(|(name, _)| said_of(&host, name)).collect();
    for (name, _) in components {
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", name)]), Some(0.0), "{name}");
    }
    assert!(resident(&host) < 512 << 20, "{} bytes resident", resident(&host));
    host.stop();
    said
}

fn said_of(host: &Ebhost, name: &str) -> String {
    let folder = format!("/{name}/");
    let lines = host.log().lines();
    let mut errors = lines.iter().filter(|line| line.level == "ERROR" && line.text.contains(&folder));
    let error = errors.next().unwrap_or_else(|| panic!("{name} is not refused:\n{}", host.log().text()));
    error.text.clone()
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap_or_else(|error| panic!("the test's own text is valid: {error}"))
}

/// A component of the contract's outer shape around a core module: it compiles, and is found wrong when it is linked or started.
fn around(module: &str) -> Vec<u8> {
    wat(&format!(
        "(component (core module $m {module}) (core instance $i (instantiate $m)) (instance $d) (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))"
    ))
}

/// Loops with thousands of variables and thousands of ways back: each way back hands on each variable, so what is 700 KB here
/// is some hundreds of millions of operands to a compiler.
fn bomb() -> Vec<u8> {
    let locals = "(local i64)".repeat(4_000);
    let set = |n: usize| format!("(local.set {n} (i64.mul (local.get {}) (i64.const {n})))", (n * 7 + 13) % 4_000);
    let sets: String = (0..4_000).map(set).collect();
    let branches: String = (0..6_000).map(|n| format!("(br_if 0 (i64.eqz (local.get {})))", n % 4_000)).collect();
    around(&format!("(func {locals} (loop {sets} {branches}))").repeat(30))
}

#[test]
fn what_is_not_a_decoder() {
    needs!(Root);
    let _alone = alone();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "found an empty file"),
        ("core", wat("(module)"), "found a core module, expected a component"),
        ("text", b"name: x".to_vec(), "found a file that begins with 6e 61 6d 65"),
        ("native", [b"\x7fELF".as_slice(), &[0; 60]].concat(), "found an ELF file (a precompiled component?)"),
        ("zeros", [b"\0asm\x0d\0\x01\0".as_slice(), &[0; 1 << 16]].concat(), "is not a valid component"),
        (
            "wasi",
            wat("(component (import \"wasi:cli/environment@0.2.0\" (instance)))"),
            "imports `wasi:cli/environment@0.2.0`",
        ),
        ("function", wat("(component (import \"exec\" (func)))"), "imports `exec`"),
        ("start-spins", around("(func $s (loop (br 0))) (start $s)"), "does not fit the contract"),
        (
            "shape",
            wat("(component (instance $d) (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))"),
            "does not fit the contract",
        ),
    ];
    let components: Vec<_> = cases.iter().map(|(name, bytes, _)| (*name, bytes.clone())).collect();
    for ((name, _, says), said) in cases.iter().zip(refusals(&components)) {
        assert!(said.contains(says), "{name}: expected `{says}` in: {said}");
    }
}

/// The compiler's process is ended; the host is not.
#[test]
fn a_compile_bomb() {
    needs!(Root);
    let _alone = alone();
    let said = refusals(&[("bomb", bomb())]).remove(0);
    assert!(said.contains("compiling it took more than"), "{said}");
}

/// A start function that spins is the first code of a component that runs.
#[test]
fn a_start_function_that_spins() {
    needs!(Root);
    let _alone = alone();
    let sinner = fs::read(ebhost_tests::workspace().join("tests/sandbox/sinner.wasm")).expect("it is committed");
    let spinning = with_spinning_start(&sinner);
    let said = refusals(&[("start", spinning)]).remove(0);
    assert!(said.contains("ran past its 2000 ms"), "{said}");
}

/// A component with one core module more, instantiated at its end, whose start function does not end.
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

/// How many core modules the component itself has.
fn core_modules(component: &[u8]) -> usize {
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
        count += usize::from(id == 1);
        at += size;
    }
    count
}

fn leb128(bytes: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

/// What is read is a regular file of bounded size, whatever its name is.
#[test]
fn files_that_are_none() {
    needs!(Root, Tool("mkfifo"));
    let _alone = alone();
    let sinner = Sinner { folder: Folder::with_biolatency() };
    let fifo = sinner.add("fifo", "family: fifo_total").join("sinner.wasm");
    fs::remove_file(&fifo).expect("our own file");
    ebhost_tests::output(std::process::Command::new("mkfifo").arg(&fifo));
    let large = sinner.add("large", "family: large_total").join("sinner.wasm");
    fs::File::create(&large).and_then(|file| file.set_len(65 << 20)).expect("our own file");
    let endless = sinner.add("endless", "family: endless_total").join("sinner.wasm");
    fs::remove_file(&endless)
        .and_then(|()| std::os::unix::fs::symlink(Path::new("/dev/zero"), &endless))
        .expect("our own");
    let host = start(&sinner.folder, &[]);
    assert_eq!(scrape(&host).value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    for (name, says) in [
        ("fifo", "it is not a regular file"),
        ("large", "found 68157440 bytes, expected at most 67108864"),
        ("endless", "it is not a regular file"),
    ] {
        let said = said_of(&host, name);
        assert!(said.contains(says), "{name}: expected `{says}` in: {said}");
    }
    host.stop();
}
