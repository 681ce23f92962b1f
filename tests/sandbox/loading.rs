//! Sins that a file commits before anything of it is asked: not a component, cut short, start functions, imports, bombs.

use std::{fs, path::Path, process::Command};

use ebhost_tests::{Disk, Ebhost, Exposition, Folder, alone, binary, needs, workspace};

use crate::rig::{Sinner, Witness, of, replace, resident, scrape, start, until};

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

/// Blocks in blocks, each with a thousand results, and a jump to any of them: 100 KB here, and tens of millions of values to a compiler,
/// which has no room for them in 4 GiB long before its time is over.
fn memory_bomb() -> Vec<u8> {
    const BLOCKS: usize = 20_000;
    const RESULTS: usize = 1_000;
    let (blocks, ends) = ("block (type $t) ".repeat(BLOCKS), "end ".repeat(BLOCKS));
    let (values, drops) = ("i64.const 0 ".repeat(RESULTS), "drop ".repeat(RESULTS));
    let targets: String = (0..BLOCKS).map(|block| format!("{block} ")).collect();
    let results = "i64 ".repeat(RESULTS);
    around(&format!(
        "(type $t (func (result {results}))) \
         (func (param i32) {blocks} {values} local.get 0 br_table {targets} {ends} {drops})"
    ))
}

/// Name, component, and what is said of it.
fn sins() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    vec![
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
        ("start-unreached", around("(func $s (loop (br 0))) (start $s)"), "does not fit the contract"),
        (
            "shape",
            wat("(component (instance $d) (export \"ebhost:plugin/decoder@0.1.0\" (instance $d)))"),
            "does not fit the contract",
        ),
        ("cut", committed_sinner()[..40_000].to_vec(), "is not a valid component"),
        ("start-spins", with_spinning_start(&committed_sinner()), "ran past its 2000 ms"),
        ("time", bomb(), "compiling it took more than"),
        ("memory", memory_bomb(), "compiling it took more than 4 GiB of memory"),
    ]
}

fn committed_sinner() -> Vec<u8> {
    fs::read(workspace().join("tests/sandbox/sinner/sinner.wasm")).expect("it is committed")
}

#[test]
fn each_is_left_out_at_the_start() {
    needs!(Root);
    let _alone = alone();
    let components: Vec<_> = sins().into_iter().map(|(name, bytes, _)| (name, bytes)).collect();
    for ((name, _, says), said) in sins().iter().zip(refusals(&components)) {
        assert!(said.contains(says), "{name}: expected `{says}` in: {said}");
    }
}

/// As new versions, under load, with biolatency's counts held against the kernel's during each.
#[test]
fn each_beside_biolatency() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let sinner = Sinner::beside_biolatency("sin: none");
    let disk = Disk::in_memory();
    let host = start(&sinner.folder, &[]);
    let whole = of(&scrape(&host), "ebhost_plugin_series");
    let witness = Witness { host: &host, disk: &disk };
    let wasm = sinner.package().join("sinner.wasm");
    for (sin, bytes, says) in sins() {
        witness.beside(sin, || {
            let before = scrape(&host);
            let failures = |served: &Exposition| served.value("ebhost_reload_failures_total", &[]);
            replace(&wasm, &bytes);
            host.hang_up();
            let served = until(&host, sin, |served| failures(served) > failures(&before));
            let line = host.log().lines().into_iter().rfind(|line| line.level == "ERROR").expect("it is said");
            assert!(line.text.contains("the version before goes on: "), "{sin}: {}", line.text);
            assert!(line.text.contains(says), "{sin}: expected `{says}` in: {}", line.text);
            assert_eq!(of(&served, "ebhost_plugin_up"), Some(1.0), "{sin}");
            assert_eq!(of(&served, "ebhost_plugin_series"), whole, "{sin}");
            assert!(resident(&host) < 512 << 20, "{sin}: {} bytes resident", resident(&host));
            replace(&wasm, &committed_sinner());
            host.hang_up();
            until(&host, &format!("mended after {sin}"), |served| of(served, "ebhost_plugin_current") == Some(1.0));
        });
    }
    host.stop();
}

/// `ebhost check` is run on what others wrote, and compiles it in bounds too.
#[test]
fn a_bomb_is_a_finding_of_the_authors_check() {
    needs!(Root);
    let _alone = alone();
    let sinner = Sinner::alone("sin: none");
    replace(&sinner.package().join("sinner.wasm"), &memory_bomb());
    let checked = Command::new(binary()).arg("check").arg(sinner.package()).output().expect("it starts");
    let said = String::from_utf8_lossy(&[checked.stdout, checked.stderr].concat()).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{said}");
    assert!(said.contains("compiling it took more than 4 GiB of memory"), "{said}");
}

/// What the engine's own compiler made of a good component is refused all the same, by its name and by its content.
#[test]
fn a_precompiled_component() {
    needs!(Root);
    let _alone = alone();
    let (cache, sinner) = (Folder::new(), Sinner { folder: Folder::with_biolatency() });
    let cache = cache.path().join("cache");
    start(&sinner.folder, &["--cache.dir", &cache.display().to_string()]).stop();
    let cached = fs::read_dir(&cache).expect("the host made it").next().expect("one component").expect("a file");
    // Before it lies the digest of the rest.
    let compiled = fs::read(cached.path()).expect("a file of root's").split_off(32);
    assert!(compiled.starts_with(b"\x7fELF"), "compiled components are ELF files");

    let content = sinner.add("content", "family: content_total");
    replace(&content.join("sinner.wasm"), &compiled);
    let named = sinner.add("named", "family: named_total");
    fs::rename(named.join("sinner.wasm"), named.join("sinner.cwasm")).expect("our own file");
    replace(&named.join("sinner.cwasm"), &compiled);
    let yaml = fs::read_to_string(named.join("plugin.yaml")).expect("our own file");
    replace(&named.join("plugin.yaml"), yaml.replace("sinner.wasm", "sinner.cwasm").as_bytes());
    let host = start(&sinner.folder, &[]);
    let served = scrape(&host);
    assert_eq!(served.value("ebhost_plugin_up", &[("plugin", "biolatency")]), Some(1.0));
    for (name, says) in [
        ("content", "sinner.wasm: found an ELF file (a precompiled component?)"),
        ("named", "plugin.yaml:3:1: found `sinner.cwasm`, expected a component"),
    ] {
        assert_eq!(served.value("ebhost_plugin_up", &[("plugin", name)]), Some(0.0), "{name}");
        let said = said_of(&host, name);
        assert!(said.contains(says), "{name}: expected `{says}` in: {said}");
    }
    host.stop();
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
    ebhost_tests::output(Command::new("mkfifo").arg(&fifo));
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
