//! The tables of associative.h with far more keys than room, while programs on all CPUs and in interrupts work in the same rows: each value stays with its
//! key, and each key is in one place. The same programs without the claims of places mix values up, so the checks see it.

use std::{
    collections::HashMap,
    fs,
    os::unix::process::parent_id,
    path::Path,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use ebhost_tests::{Ebhost, Entries, Folder, KernelMap, Start, alone, needs, output, wait_until, workspace};

const CALLERS: usize = 4;
const SLEEPERS: usize = 6;
const CALLS: u64 = 100_000;
/// Room in a row of a table.
const WAYS: usize = 3;

/// Tables in the order of the program, with the words of a value.
const TABLES: [(&str, usize); 3] = [("plain", 1), ("triple", 3), ("numbers", 1)];
const NUMBERS: usize = 2;
const TASKS: usize = 3;
/// Totals of a table in the order of the program, and room for them.
const NAMES: [&str; 7] = ["put", "removed", "full", "foreign", "other", "missing", "lost"];
const TOTALS: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Claims {
    Checked,
    Ignored,
}

/// The name of a thread as the program compares it.
fn comm(name: &str) -> u64 {
    let mut bytes = [0; 8];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    u64::from_ne_bytes(bytes)
}

fn write(package: &Path, claims: Claims) {
    fs::create_dir_all(package).expect("a folder in our own");
    let mut clang = Command::new("clang-19");
    clang.args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror"]);
    clang.args((claims == Claims::Ignored).then_some("-DBROKEN"));
    clang.arg(format!("-I{}", workspace().join("bpf").display()));
    let source = workspace().join("tests/programs/associative.bpf.c");
    output(clang.arg("-c").arg(source).arg("-o").arg(package.join("associative.bpf.o")));
    let manifest = format!(
        "name: associative\ncomponent: builtin\n\
         bpf:\n  object: associative.bpf.o\n  globals: {{ targ_caller: {}, targ_sleeper: {}, targ_reporter: {}, targ_getppid: {} }}\n\
         config: {{ metrics: {{ counters: [{{ name: runs_total, map: runs, help: h, labels: [{{ name: run, size: 4, decoders: [{{ name: uint }}] }}] }}] }} }}\n\
         limits: {{ kernel_cpu: 100000% }}\n",
        comm("caller"),
        comm("sleeper"),
        comm("reporter"),
        libc::SYS_getppid
    );
    fs::write(package.join("plugin.yaml"), manifest).expect("our own file");
}

fn thread(name: &str, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    thread::Builder::new().name(name.to_owned()).spawn(run).expect("a thread")
}

/// Runs threads that call and threads that are woken, which have ended when this returns.
fn work() {
    let ends = Arc::new(AtomicBool::new(false));
    let sleeper = |_| {
        let ends = Arc::clone(&ends);
        thread("sleeper", move || {
            while !ends.load(Ordering::Relaxed) {
                thread::sleep(Duration::from_micros(30));
            }
        })
    };
    let sleepers: Vec<_> = (0..SLEEPERS).map(sleeper).collect();
    let callers: Vec<_> = (0..CALLERS).map(|_| thread("caller", || (0..CALLS).for_each(|_| _ = parent_id()))).collect();
    callers.into_iter().for_each(|caller| caller.join().expect("it only calls"));
    ends.store(true, Ordering::Relaxed);
    sleepers.into_iter().for_each(|sleeper| sleeper.join().expect("it only sleeps"));
    thread("reporter", || _ = parent_id()).join().expect("it only calls");
}

fn words(host: &Ebhost, map: &str) -> Vec<u64> {
    let memory = KernelMap::of(host.pid(), map).memory();
    memory.words().iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

/// The keys and the values of all entries of a map, one after the other, in bytes.
fn entries(host: &Ebhost, map: &str, [key, value]: [usize; 2]) -> (Vec<u8>, Vec<u8>) {
    let mut read = Entries::default();
    KernelMap::of(host.pid(), map).read(&mut read);
    // The buffers have room for more.
    read.keys.truncate(read.len * key);
    read.values.truncate(read.len * value);
    (read.keys, read.values)
}

fn in_words(bytes: &[u8]) -> Vec<u64> {
    bytes.chunks_exact(8).map(|word| u64::from_ne_bytes(word.try_into().expect("8 bytes"))).collect()
}

/// The keys and values in the rows of a table, each with all its words. Every place with a key has one claim, every other one none.
fn rows(host: &Ebhost, table: &str, words: usize) -> Vec<(u64, Vec<u64>)> {
    let mut found = Vec::new();
    let row_words = 2 + WAYS + WAYS * words;
    let (_, values) = entries(host, table, [4, row_words * 8]);
    for row in in_words(&values).chunks_exact(row_words) {
        let claims = [row[0] as u32, (row[0] >> 32) as u32, row[1] as u32];
        let (keys, values) = row[2..].split_at(WAYS);
        for (way, key) in keys.iter().enumerate() {
            assert_eq!(claims[way], u32::from(*key != 0), "claims of the key {key} in {table}");
            if *key != 0 {
                found.push((*key, values[way * words..][..words].to_vec()));
            }
        }
    }
    found
}

struct Totals(Vec<u64>);

impl Totals {
    fn of(&self, table: usize, name: &str) -> u64 {
        let at = NAMES.iter().position(|known| *known == name).expect("a total");
        self.0[table * TOTALS + at]
    }

    fn errors(&self) -> u64 {
        let of_table = |table| ["foreign", "other", "missing"].map(|name| self.of(table, name)).iter().sum::<u64>();
        (0..=TASKS).map(of_table).sum()
    }
}

/// A host with these programs after the work.
fn worked(claims: Claims) -> (Folder, Ebhost, Totals) {
    let folder = Folder::new();
    write(&folder.path().join("associative"), claims);
    let host = Start::with(folder.path()).args(&["--strict"]).listening();
    work();
    let totals = Totals(words(&host, "totals"));
    for (at, table) in ["plain", "triple", "numbers", "tasks"].iter().enumerate() {
        let all: Vec<_> = NAMES.iter().map(|name| format!("{name} {}", totals.of(at, name))).collect();
        eprintln!("{table}: {}", all.join(", "));
    }
    let [calls, interrupts, nested, wakeups, nested_wakeups] = words(&host, "runs")[..] else { panic!("five counts") };
    eprintln!("{calls} calls, {interrupts} interrupts, {nested} nested, {wakeups} wakeups, {nested_wakeups} nested");
    assert_eq!(calls, CALLERS as u64 * CALLS, "the kernel ran the program at every call");
    assert!(nested > 100 && nested_wakeups > 10, "too few interrupts of the program in process context");
    (folder, host, totals)
}

#[test]
fn every_value_stays_with_its_key_when_rows_are_full_and_interrupts_work_in_them() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (_folder, host, totals) = worked(Claims::Checked);
    assert_eq!(totals.errors(), 0);
    let expected = words(&host, "expected");
    let keys = expected.len() / TABLES.len();
    for (at, (table, words)) in TABLES.into_iter().enumerate() {
        assert!(totals.of(at, "full") > 100, "{table} never overflowed");
        let mut found = rows(&host, table, words);
        assert!(
            found
                .iter()
                .all(|(_, value)| words == 1 || (value[1] == !value[0] && value[2] == value[0].wrapping_mul(3)))
        );
        if at == NUMBERS {
            let (keys, values) = entries(&host, "numbers_more", [8, 8]);
            found.extend(in_words(&keys).into_iter().zip(in_words(&values).into_iter().map(|value| vec![value])));
        }
        let left: HashMap<u64, u64> = found.iter().map(|(key, value)| (*key, value[0])).collect();
        assert_eq!(left.len(), found.len(), "a key is in two places of {table}: {found:?}");
        let of_table = (1..).zip(&expected[at * keys..][..keys]).filter(|(_, value)| **value != 0);
        assert_eq!(left, of_table.map(|(key, value)| (key, *value)).collect(), "{table}");
        assert_eq!(totals.of(at, "put") - totals.of(at, "removed"), left.len() as u64, "{table}");
    }
    for at in [NUMBERS, TASKS] {
        assert_eq!(totals.of(at, "lost"), totals.of(at, "full"), "what found no room was counted");
    }
    wait_until("tasks that ended are forgotten", Duration::from_secs(30), || {
        rows(&host, "tasks", 1).is_empty().then_some(())
    });
    host.stop();
}

/// Otherwise the checks above prove nothing.
#[test]
fn values_are_found_with_keys_of_others_if_nobody_looks_who_claimed_the_place() {
    needs!(Root, Tool("clang-19"));
    let _alone = alone();
    let (_folder, host, totals) = worked(Claims::Ignored);
    assert!(totals.errors() > 0, "the same work without claims went unnoticed");
    host.stop();
}
