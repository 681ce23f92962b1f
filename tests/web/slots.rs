//! `bpf/native.h`, compiled for this machine: every bound and the values next to it are in the bucket that Prometheus'
//! client library would choose.

use std::{
    fs,
    io::Write,
    process::{Command, Stdio},
};

use ebhost_tests::{Folder, needs, output, workspace};

const PROGRAM: &str = r#"
int scanf(const char *, ...), printf(const char *, ...);
#include "native.h"
int main(void) { u64 ns; while (scanf("%llu", &ns) == 1) printf("%u\n", native_bucket_of(ns)); return 0; }
"#;

/// The first bucket whose upper bound is not below this time. Doubles suffice: neighbouring nanoseconds differ by at
/// least 10^-12 of their value here.
fn expected(ns: u64) -> u32 {
    let seconds = ns as f64 / 1e9;
    (0..241).find(|slot| seconds <= (f64::from(*slot - 160) / 8.0).exp2()).unwrap_or(241) as u32
}

#[test]
fn every_value_is_in_its_bucket() {
    needs!(Tool("clang-19"));
    let folder = Folder::new();
    let (source, program) = (folder.path().join("slots.c"), folder.path().join("slots"));
    fs::write(&source, PROGRAM).expect("our own folder");
    let mut compile = Command::new("clang-19");
    compile.args(["-O2", "-Wno-everything", "-I"]).arg(workspace().join("bpf"));
    output(compile.arg(&source).arg("-o").arg(&program));

    let ends = (-160..=81).map(|index| ((f64::from(index) / 8.0).exp2() * 1e9) as u64);
    let mut values: Vec<u64> = ends.flat_map(|end| end.saturating_sub(3)..=end + 3).collect();
    values.extend(0..5_000);
    // Other values across the range: the step is no power of two.
    values.extend((0..200_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 50)));
    let text: String = values.iter().map(|ns| format!("{ns}\n")).collect();
    let mut running = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = running.stdin.take().expect("a pipe");
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let printed = running.wait_with_output().expect("it ends");
    writer.join().expect("it only writes").expect("the program reads");
    let slots = String::from_utf8_lossy(&printed.stdout);
    assert_eq!(slots.lines().count(), values.len());
    for (ns, slot) in values.iter().zip(slots.lines()) {
        assert_eq!(slot.parse(), Ok(expected(*ns)), "{ns} ns");
    }
}
