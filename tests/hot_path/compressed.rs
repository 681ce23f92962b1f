//! Compressed answers are the plain ones, through readers of other people, while series and numbers change.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use ebhost_tests::{Counting, Ebhost, KernelMap, Prometheus, key, needs, wait_until};

const NAME: &str = "ebhost_hash_calls_total{";

/// The package's lines of a text, which do not change from scrape to scrape while nothing counts.
fn lines(text: &[u8]) -> Vec<&str> {
    let text = std::str::from_utf8(text).expect("an answer is UTF-8");
    text.lines().filter(|line| line.starts_with(NAME)).collect()
}

/// Reads a gzip file by Python, that is by zlib: in one piece, and in pieces of random lengths.
const PYTHON: &str = "\
import gzip, random, sys, zlib
compressed = sys.stdin.buffer.read()
text = gzip.decompress(compressed)
for size in (1, 3, 100, 70000):
    reader, pieces, at = zlib.decompressobj(31), [], 0
    while at < len(compressed):
        to = at + random.randint(1, size)
        pieces.append(reader.decompress(compressed[at:to]))
        at = to
    assert reader.eof and not reader.unused_data and b''.join(pieces) == text
sys.stdout.buffer.write(text)
";

fn filtered(command: &mut Command, input: &[u8]) -> Vec<u8> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it ends");
    writing.join().expect("no panic").expect("it reads everything");
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

fn scrape(host: &Ebhost, format: &str, encoding: &str) -> Vec<u8> {
    let answer = host.get("/metrics", &[("Accept", format), ("Accept-Encoding", encoding)]);
    let expected = if encoding == "gzip" { "gzip" } else { "" };
    assert_eq!((answer.status, answer.header("content-encoding")), (200, expected));
    answer.body
}

fn curl(host: &Ebhost, format: &str) -> Vec<u8> {
    let mut curl = Command::new("curl");
    curl.args([
        "-sS",
        "--compressed",
        "-H",
        &format!("Accept: {format}"),
        &format!("http://{}/metrics", host.address()),
    ]);
    filtered(&mut curl, &[])
}

#[test]
fn every_reader_of_gzip_reads_what_is_served_uncompressed() {
    needs!(Root, Tool("python3"), Tool("curl"));
    let (host, _folder) = crate::host(&[("hash", 6_000)]);
    let map = KernelMap::of(host.pid(), "hash");
    let fill = |ids: std::ops::Range<u64>| {
        let (keys, values): (Vec<_>, Vec<_>) = ids.map(|id| (key(id), id * id % 20_000_000)).unzip();
        map.update_all(&keys.concat(), &values.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<_>>());
    };
    fill(0..4_000);
    let counting = Counting::of(&map);
    for round in 0..8u64 {
        counting.add(0, 4_000);
        match round {
            3 => fill(4_000..5_000),
            4 => map.delete_all(&(0..5_000).step_by(3).flat_map(key).collect::<Vec<_>>()),
            // Nothing changes.
            5 | 6 => {}
            _ => counting.add(round * 100, 100),
        }
        for format in ["text/plain;version=0.0.4", "application/openmetrics-text;version=1.0.0"] {
            for _ in 0..2 {
                let plain = scrape(&host, format, "identity");
                let expected = lines(&plain);
                assert!(expected.len() >= 3_000, "{} lines", expected.len());
                let compressed = scrape(&host, format, "gzip");
                assert!(compressed.len() * 4 < plain.len(), "{} of {} bytes", compressed.len(), plain.len());
                let python = filtered(Command::new("python3").args(["-c", PYTHON]), &compressed);
                assert!(lines(&python) == expected, "Python, round {round}, {format}");
                assert!(lines(&curl(&host, format)) == expected, "curl, round {round}, {format}");
            }
        }
    }
    host.stop();
}

#[test]
fn prometheus_reads_the_numbers_of_a_compressed_table() {
    needs!(Root, Tool("prometheus"));
    let (host, _folder) = crate::host(&[("hash", 3_000)]);
    let map = KernelMap::of(host.pid(), "hash");
    let values: Vec<u64> = (0..3_000u64).map(|id| 7 * id).collect();
    map.update_all(
        &(0..3_000).flat_map(key).collect::<Vec<_>>(),
        &values.iter().copied().flat_map(u64::to_le_bytes).collect::<Vec<_>>(),
    );
    let sum: u64 = values.iter().sum();
    let counting = Counting::of(&map);
    let prometheus = Prometheus::scraping(host.address());
    for round in 1..=4 {
        counting.add(0, 3_000);
        let expected = (sum + 3_000 * round) as f64;
        wait_until("Prometheus to have scraped what was counted", std::time::Duration::from_secs(20), || {
            (prometheus.query("sum(ebhost_hash_calls_total)") == Some(expected)).then_some(())
        });
        assert_eq!(prometheus.query("count(ebhost_hash_calls_total)"), Some(3_000.0));
        assert_eq!(prometheus.query("ebhost_hash_calls_total{id=\"2999\"}"), Some((7 * 2_999 + round) as f64));
    }
    host.stop();
}
