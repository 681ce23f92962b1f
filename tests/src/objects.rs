//! BPF objects for one test: a few lines of C, compiled when the test runs.

use std::{fs, path::Path, process::Command};

use crate::process::output;

/// The beginning of every such program. It declares the maps that biolatency's component reads.
const PRELUDE: &str = "
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
#define MAP(name, key_type, value_type) \\
    struct { int (*type)[2]; int (*max_entries)[4]; key_type *key; value_type *value; } name SEC(\".maps\")
struct bank { u64 words[37]; };
#define HASH(name, key_type, value_type) \\
    struct { int (*type)[1]; int (*max_entries)[4]; key_type *key; value_type *value; } name SEC(\".maps\")
char LICENSE[] SEC(\"license\") = \"GPL\";
";

/// Compiles `source`, after the prelude, for `target` (`bpf`) into `object`. Needs clang-19.
pub fn compile(source: &str, target: &str, object: &Path) {
    let file = object.with_extension("c");
    fs::write(&file, format!("{PRELUDE}{source}")).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    output(Command::new("clang-19").args(["-target", target, "-g", "-O2", "-c", "-o"]).arg(object).arg(&file));
}
