//! The story that the project began with, in pictures: `cargo xtask story`.
//!
//! Debian's Prometheus scrapes ebhost. The page cache is dropped in the middle of reading a file, and the reads show in the latency heat map;
//! then more tasks want a CPU than there are, and the run queue shows it; then a load that caches do not help. Where there is no PMU,
//! cache references and misses cannot be counted, and the page says so.

use std::{
    fs,
    io::Read as _,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Browser, Folder, Prometheus, Running, Start, committed, needs, output, workspace};

use crate::open;

const FILE_BYTES: usize = 256 << 20;

/// Reads a file once.
fn read(file: &Path) {
    let mut file = fs::File::open(file).expect("our own file");
    let mut buffer = vec![0; 1 << 20];
    while file.read(&mut buffer).is_ok_and(|read| read > 0) {}
}

fn read_for(file: &Path, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        read(file);
    }
}

/// Changes bytes of a buffer much larger than any cache, in an order that no cache likes.
fn thrash(time: Duration) {
    let mut memory = vec![0u8; 256 << 20];
    let (mut at, end) = (0usize, Instant::now() + time);
    while Instant::now() < end {
        for _ in 0..100_000 {
            at = (at + 40_503 * 4099) % memory.len();
            memory[at] = memory[at].wrapping_add(1);
        }
    }
}

#[test]
#[ignore = "makes pictures for docs/; takes a minute and a half, and drops the machine's page cache"]
fn the_story_in_pictures() {
    needs!(Root, Tool("prometheus"), Tool("chromium"));
    let folder = Folder::new();
    let file = folder.path().join("file");
    fs::write(&file, vec![7; FILE_BYTES]).expect("our own folder");
    output(&mut Command::new("sync"));
    let args = ["--set", "plugins.runqlat=on", "--recorder.window", "15m"];
    let host = Start::with(&committed()).args(&args).listening();
    let origin = format!("http://{}", host.address());
    let prometheus = Prometheus::scraping(host.address());
    let mut browser = Browser::open();
    open(&mut browser, &origin);

    thread::sleep(Duration::from_secs(10)); // what a quiet machine looks like
    read_for(&file, Duration::from_secs(8)); // from the cache: no request reaches the disk
    for _ in 0..4 {
        fs::write("/proc/sys/vm/drop_caches", "1").expect("root may");
        read(&file);
    }
    let cpus = thread::available_parallelism().map_or(2, usize::from);
    let busy: Vec<_> = (0..4 * cpus)
        .map(|_| Running::start(Command::new("sh").args(["-c", "while :; do :; done"]).stdout(Stdio::null())))
        .collect();
    thread::sleep(Duration::from_secs(12));
    drop(busy);
    thrash(Duration::from_secs(8));

    let pictures = workspace().join("docs/pictures");
    fs::create_dir_all(&pictures).expect("a folder of the repository");
    let keep = |browser: &mut Browser, name: &str| {
        let from = browser.screenshot(name);
        fs::copy(from, pictures.join(format!("{name}.png"))).expect("a folder of the repository");
    };
    browser.press("1");
    browser.resize(1280, 760);
    thread::sleep(Duration::from_secs(2));
    keep(&mut browser, "live-page");
    browser.evaluate("document.querySelector('[data-package=runqlat]').scrollIntoView()");
    thread::sleep(Duration::from_secs(2));
    keep(&mut browser, "live-page-run-queue");
    browser.assert_clean(&origin);

    let query =
        "histogram_quantile(0.99, sum by (device, operation, le) (rate(ebhost_bio_latency_seconds_bucket[5s])))";
    browser.go(&format!(
        "{}/graph?g0.range_input=90s&g0.tab=0&g0.expr={}",
        prometheus.origin(),
        ebhost_tests::encode(query)
    ));
    thread::sleep(Duration::from_secs(5));
    keep(&mut browser, "prometheus");
    host.stop();
}
