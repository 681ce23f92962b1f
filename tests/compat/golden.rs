//! Compares what is served with golden files: every decoder and every kind of bucket, to the last digit.
//!
//! The test fills the maps, so that each number is known. Names that only a machine has are in `names`.

use std::fs;

use ebhost_tests::{Ebhost, Start, needs, workspace};

use crate::drop_in::{DropIns, put, served};

/// Everything that is served, with the samples of each family sorted.
fn sorted(host: &Ebhost) -> String {
    let mut lines = served(host);
    // Comment lines stay at the head of their family.
    let mut start = 0;
    for at in 0..=lines.len() {
        if at == lines.len() || lines[at].starts_with('#') {
            lines[start..at].sort();
            start = at + 1;
        }
    }
    lines.join("\n") + "\n"
}

pub(crate) fn assert_golden(host: &Ebhost, file: &str) {
    let path = workspace().join("tests/compat/golden").join(file);
    let found = sorted(host);
    if std::env::var_os("EBHOST_BLESS").is_some() {
        fs::write(&path, &found).expect("a file of the repository");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, expected, "served, and {}", path.display());
}

/// For each decoder, a map named after it, the label's size and its decoders.
const DECODERS: &[(&str, usize, &str)] = &[
    ("uint", 4, "[{ name: uint }]"),
    ("string", 16, "[{ name: string }]"),
    ("hex", 3, "[{ name: hex }]"),
    ("static_map", 1, "[{ name: uint }, { name: static_map, static_map: { 1: read, 2: write } }]"),
    ("static_map_lax", 1, "[{ name: uint }, { name: static_map, allow_unknown: true, static_map: { 1: read } }]"),
    ("regexp", 16, "[{ name: string }, { name: regexp, regexps: ['^kworker', '^([a-z]+)[0-9]*$'] }]"),
    ("inet_ip", 16, "[{ name: inet_ip }]"),
    ("inet_ip4", 4, "[{ name: inet_ip }]"),
    ("dname", 32, "[{ name: string }, { name: dname }]"),
    ("errno", 4, "[{ name: uint }, { name: errno }]"),
    ("syscall", 8, "[{ name: uint }, { name: syscall }]"),
    ("majorminor", 4, "[{ name: majorminor }]"),
    ("ifname", 4, "[{ name: ifname }]"),
    ("cgroup", 8, "[{ name: uint }, { name: cgroup }]"),
    ("ksym", 8, "[{ name: ksym }]"),
    ("kstack", 24, "[{ name: kstack }]"),
    ("pci_vendor", 2, "[{ name: uint }, { name: pci_vendor }]"),
    ("pci_device", 4, "[{ name: uint }, { name: pci_device }]"),
    ("pci_class", 1, "[{ name: uint }, { name: pci_class }]"),
    ("pci_subclass", 2, "[{ name: uint }, { name: pci_subclass }]"),
];

/// Starts a host with these maps through another command, and with a program of this name.
pub(crate) fn host_of_decoders(starter: &[&str], program: &str) -> (Ebhost, DropIns) {
    host_of_decoders_with(starter, program, &["--config.strict"])
}

/// The same with these flags.
pub(crate) fn host_of_decoders_with(starter: &[&str], program: &str, args: &[&str]) -> (Ebhost, DropIns) {
    let maps = DECODERS.iter().map(|(name, size, _)| format!("TABLE({name}, HASH, {size}, 64);\n"));
    let counters = DECODERS.iter().map(|(name, size, decoders)| {
        format!("    - name: {name}\n      help: By {name}.\n      labels: [{{ name: it, size: {size}, decoders: {decoders} }}]\n")
    });
    let yaml = format!("metrics:\n  counters:\n{}", counters.collect::<String>());
    let program = format!("SEC(\"raw_tp/sched_process_exec\") int {program}(void *context) {{ return 0; }}");
    let folder = DropIns::with("decoders", &(maps.collect::<String>() + &program), &yaml);
    let host = Start::drop_ins_by(starter, folder.path(), "decoders").args(args).listening();
    (host, folder)
}

fn padded<const N: usize>(text: &[u8]) -> [u8; N] {
    std::array::from_fn(|at| text.get(at).copied().unwrap_or_default())
}

#[test]
fn every_decoder_gives_the_same_text_as_ebpf_exporter() {
    needs!(Root, Tool("clang-19"));
    let (host, _folder) = host_of_decoders(&[], "idle");
    let four = |map, number: u32, value| put(&host, map, &number.to_le_bytes(), value);
    let eight = |map, number: u64, value| put(&host, map, &number.to_le_bytes(), value);
    four("uint", 0, 1);
    four("uint", u32::MAX, 999_999);
    put(&host, "string", &padded::<16>(b"sshd\0rest"), 1_000_000);
    put(&host, "string", b"0123456789abcdef", 1_287_408);
    put(&host, "string", &padded::<16>(b"a \"b\" \\ \n c"), 1_234_567_890_123);
    put(&host, "hex", &[0x00, 0xab, 0x0c], u64::MAX);
    for number in [1, 2, 3] {
        put(&host, "static_map", &[number], u64::from(number));
        put(&host, "static_map_lax", &[number], u64::from(number));
    }
    for name in ["kworker/0:1", "nginx12", "nginx7", "Other-1"] {
        put(&host, "regexp", &padded::<16>(name.as_bytes()), 10);
    }
    put(&host, "inet_ip", &padded::<16>(&[0x20, 0x01, 0x0d, 0xb8]), 6);
    let mut mapped = [0; 16];
    mapped[10..].copy_from_slice(&[0xff, 0xff, 192, 0, 2, 1]);
    put(&host, "inet_ip", &mapped, 4);
    put(&host, "inet_ip4", &[198, 51, 100, 7], 4);
    put(&host, "dname", &padded::<32>(b"\x03www\x07example\x03org"), 1);
    put(&host, "dname", &[0; 32], 2);
    put(&host, "dname", &padded::<32>(b"\x3fwww"), 3);
    [0, 11, 32, 95, 133, 4096].into_iter().for_each(|number| four("errno", number, 1));
    [0, 9999].into_iter().for_each(|number| eight("syscall", number, 1));
    four("majorminor", 300 & 0xff | 4001 << 8 | (300 & !0xff) << 12, 1);
    four("ifname", 1, 1);
    four("ifname", 0x7fff_ffff, 1);
    eight("cgroup", u64::MAX, 1);
    eight("ksym", 1, 1);
    put(&host, "kstack", &[[1, 0, 0, 0, 0, 0, 0, 0], [0; 8], [9; 8]].concat(), 1);
    assert_golden(&host, "decoders.txt");
    host.stop();
}

const HISTOGRAMS: &str = "
metrics:
  histograms:
    - name: exp2_seconds
      help: Powers of two.
      bucket_type: exp2
      bucket_min: 0
      bucket_max: 26
      bucket_multiplier: 0.000001 # microseconds to seconds
      labels:
        - { name: kind, size: 4, decoders: [{ name: uint }] }
        - { name: bucket, size: 4, decoders: [{ name: uint }] }
    - name: exp2zero_bytes
      help: Powers of two, and 0.
      bucket_type: exp2zero
      bucket_min: 0
      bucket_max: 24
      labels: [{ name: bucket, size: 4, decoders: [{ name: uint }] }]
    - name: linear_seconds
      help: One beside the other.
      bucket_type: linear
      bucket_min: 95
      bucket_max: 105
      bucket_multiplier: 0.000001
      labels: [{ name: bucket, size: 4, decoders: [{ name: uint }] }]
    - name: fixed_ratio
      help: As given.
      bucket_type: fixed
      bucket_keys: [1, 5, 10, 1000000, 2500000]
      bucket_multiplier: 0.1
      labels: [{ name: bucket, size: 4, decoders: [{ name: uint }] }]
";

#[test]
fn every_kind_of_bucket_has_its_bounds_sum_and_number_forms() {
    needs!(Root, Tool("clang-19"));
    let source = "
        TABLE(exp2_seconds, HASH, 8, 256);
        TABLE(exp2zero_bytes, HASH, 4, 256);
        TABLE(linear_seconds, ARRAY, 4, 110);
        TABLE(fixed_ratio, HASH, 4, 256);
    ";
    let folder = DropIns::with("histograms", source, HISTOGRAMS);
    let host = folder.listening("histograms");
    // The kernel truncates the names of maps.
    let exp2 = |kind: u32, bucket: u32, value| {
        put(&host, "exp2_seconds", &[kind.to_le_bytes(), bucket.to_le_bytes()].concat(), value);
    };
    for (bucket, value) in [(0, 3), (7, 1_287_400), (26, 5), (27, 123_456_789), (40, 2)] {
        exp2(1, bucket, value);
    }
    exp2(2, 10, 1);
    let four = |map, bucket: u32, value| put(&host, map, &bucket.to_le_bytes(), value);
    for (bucket, value) in [(0, 9), (1, 1), (24, 1), (25, 8_388_617)] {
        four("exp2zero_bytes", bucket, value);
    }
    for (bucket, value) in [(94, 7), (95, 1), (100, 2), (105, 3), (106, 1_000), (107, 4)] {
        four("linear_seconds", bucket, value);
    }
    for (bucket, value) in [(1, 1), (10, 2), (7, 99), (2_500_000, 3), (2_500_001, 77)] {
        four("fixed_ratio", bucket, value);
    }
    assert_golden(&host, "buckets.txt");
    host.stop();
}
