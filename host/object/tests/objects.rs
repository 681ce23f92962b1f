//! The objects of this repository: parsed, relocated against the running kernel's types and linked, beside aya-obj; and damaged in every bit.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use ebhost_object::{
    Btf, Insn, MapFds, Object,
    core::KernelTypes,
    insn::{CALL, POISON_CORE},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every committed object.
fn objects() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("plugins"), root().join("bench/packages"), root().join("tests/fixtures")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(".bpf.o") {
                found.push(path);
            }
        }
    }
    assert!(found.len() >= 3, "{found:?}");
    found
}

struct Running(Arc<Btf>);

impl KernelTypes for Running {
    fn kernel(&self) -> &Arc<Btf> {
        &self.0
    }

    fn modules(&self) -> &[Arc<Btf>] {
        &[]
    }
}

fn running() -> Option<Running> {
    let bytes = fs::read("/sys/kernel/btf/vmlinux").ok()?;
    Some(Running(Arc::new(Btf::shared(Arc::new(bytes), None).expect("the kernel's own types"))))
}

/// A number that stands for a map's descriptor.
fn descriptor(name: &str) -> i32 {
    name.bytes().fold(100, |sum, byte| sum * 3 % 10_007 + i32::from(byte))
}

/// Ours have numbers that say which access is missing; aya's have one for all.
fn one_poison(insn: Insn) -> Insn {
    let is_poison = insn.code == CALL && (POISON_CORE..POISON_CORE + 1_000).contains(&insn.imm);
    if is_poison { Insn::poison(POISON_CORE) } else { insn }
}

#[test]
fn instructions_are_those_of_aya_after_relocation_and_linking() {
    let Some(types) = running() else {
        eprintln!("skipped: instructions_are_those_of_aya_after_relocation_and_linking needs /sys/kernel/btf/vmlinux");
        return;
    };
    let aya_types = aya_obj::btf::Btf::from_sys_fs().unwrap();
    for path in objects() {
        let bytes = fs::read(&path).unwrap();
        let mut object = Object::parse(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        object.relocate(&types);
        let fds: Vec<i32> = object.maps.iter().map(|map| descriptor(&map.name)).collect();
        let mut theirs = aya_obj::Object::parse(&bytes).unwrap();
        theirs.relocate_btf(&aya_types).unwrap();
        let sections: HashSet<usize> = theirs.functions.keys().map(|(section, _)| *section).collect();
        let maps: BTreeMap<_, _> = theirs.maps.clone().into_iter().collect();
        let files = maps.iter().map(|(name, map)| (name.as_str(), descriptor(name), map));
        theirs.relocate_maps(files, &sections).unwrap();
        theirs.relocate_calls(&sections).unwrap();
        let mut compared = 0;
        for program in &object.programs {
            let linked =
                object.link(&program.name, MapFds(&fds)).unwrap_or_else(|error| panic!("{}: {error}", program.name));
            let ours: Vec<[u8; 8]> = linked.insns.iter().map(|insn| one_poison(*insn).to_bytes()).collect();
            let key = theirs.programs[&program.name].function_key();
            let function = &theirs.functions[&key];
            let expected: Vec<[u8; 8]> = function
                .instructions
                .iter()
                .map(|insn| {
                    let regs = insn.dst_reg() | insn.src_reg() << 4;
                    Insn { code: insn.code, regs, off: insn.off, imm: insn.imm }.to_bytes()
                })
                .collect();
            assert_eq!(ours, expected, "{}: {}", path.display(), program.name);
            compared += 1;
        }
        assert!(compared > 0, "{}", path.display());
    }
}

#[test]
fn one_damaged_bit_anywhere_never_panics() {
    let types = running();
    let bytes = fs::read(root().join("plugins/biolatency/biolatency.bpf.o")).unwrap();
    let own = Running(Arc::new(Object::parse(&bytes).unwrap().btf.unwrap()));
    let (mut parsed, mut damaged) = (0, bytes.clone());
    // Each bit of the file in a release; here every seventh, which meets every byte.
    let step = if std::env::var_os("EBHOST_EVERY_BIT").is_some() { 1 } else { 7 };
    for at in (0..bytes.len() * 8).step_by(step) {
        damaged[at / 8] ^= 1 << (at % 8);
        if let Ok(mut object) = Object::parse(&damaged) {
            parsed += 1;
            // The kernel's types are gone through once for each: a sample is enough of it. The others have the object's own, which are few.
            match types.as_ref().filter(|_| at % (997 * 7) == 0) {
                Some(types) => object.relocate(types),
                None => object.relocate(&own),
            };
            let fds = vec![3; object.maps.len()];
            for name in object.programs.iter().map(|program| program.name.clone()).collect::<Vec<_>>() {
                let _ = object.link(&name, MapFds(&fds));
            }
        }
        damaged[at / 8] ^= 1 << (at % 8);
    }
    assert!(
        parsed * step > bytes.len(),
        "most bits are no part of the structure: {parsed} of {}",
        bytes.len() * 8 / step
    );
}
