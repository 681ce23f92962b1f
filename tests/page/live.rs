//! The live page of a running host.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Browser, Disk, Ebhost, Fio, Folder, Login, Start, committed, needs, output, wait_until};

use crate::{LATENCY, SOON, list_with, open, text_of};

/// A number with its unit, as the page shows times and rates: `12.5 ms`, `40.2/s`.
fn number(text: &str) -> f64 {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().unwrap_or_else(|_| panic!("a number: {text}"));
    let unit = text[end..].trim_start();
    let scales = [("µs", 1e-6), ("ms", 1e-3), ("ns", 1e-9), ("k", 1e3), ("M", 1e6)];
    number * scales.iter().find(|(name, _)| unit.starts_with(name)).map_or(1.0, |(_, scale)| *scale)
}

/// A row of the heat map at the place that is pointed at: its bounds, its rate, and that of all rows.
#[derive(Debug, PartialEq)]
struct Row {
    low: f64,
    high: f64,
    rate: f64,
    all: f64,
}

/// From `00:43:44, 4 µs to 8 µs: 0/s; all: 333/s, p50 …`.
fn row(text: &str) -> Option<Row> {
    let (_, rest) = text.split_once(", ")?;
    let (bounds, rest) = rest.split_once(": ")?;
    let (rate, all) = rest.split_once("; all: ")?;
    let (low, high) = bounds.split_once(" to ")?;
    let all = if all.starts_with("no observations") { 0.0 } else { number(all) };
    Some(Row { low: number(low), high: number(high), rate: number(rate), all })
}

/// A disk on which every read takes 12 ms, and reads at a known rate.
#[test]
fn a_disk_of_known_latency_is_in_the_right_row_and_at_the_right_rate() {
    needs!(Root, Fuse, Tool("fio"), Tool("chromium"));
    let disk = Disk::delayed(Duration::from_millis(12));
    let host = Ebhost::start(&committed());
    let origin = format!("http://{}", host.address());
    let mut browser = Browser::open();
    open(&mut browser, &origin);
    browser.press("1"); // the last minute
    let device = disk.device();
    let load = thread::spawn(move || {
        Fio::run(&device, &["--rw=randread", "--bs=4k", "--rate_iops=40", "--time_based", "--runtime=25", "--nice=-20"])
    });
    let list = list_with(LATENCY, disk.name());
    browser.wait_for(&format!("!!{list}"), SOON);
    browser.evaluate(&format!(
        "(() => {{ const list = {list}; list.value = '{}'; list.dispatchEvent(new Event('change')); }})()",
        disk.name()
    ));
    let fio = load.join().expect("fio ends");
    let rate = fio.reads.count as f64 / 25.0;
    thread::sleep(Duration::from_secs(3));
    browser.evaluate(&format!("document.querySelector('[data-family={LATENCY}] canvas').focus()"));
    browser.press(" "); // pause: the picture stands still
    browser.screenshot("known-latency");

    // Rows from the lowest one up, at a moment in the middle of the load.
    let readout = text_of(LATENCY, ".readout");
    let (mut rates, mut rows) = (Vec::new(), Vec::<Row>::new());
    for _ in 0..24 {
        browser.press("ArrowLeft");
        let text = browser.evaluate(&readout);
        rates.extend(row(text.as_str().unwrap_or_default()).map(|row| row.all));
    }
    for _ in 0..40 {
        let text = browser.evaluate(&readout);
        let found = row(text.as_str().unwrap_or_default()).unwrap_or_else(|| panic!("a row: {text}"));
        if rows.last() == Some(&found) {
            break;
        }
        rows.push(found);
        browser.press("ArrowUp");
    }
    let (right, wrong): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.low < 0.012 && row.high > 0.012);
    let [right] = right[..] else { panic!("one row has 12 ms: {rows:?}") };
    let wrong: f64 = wrong.iter().map(|row| row.rate).sum();
    assert!(right.rate > 0.0 && (right.rate + wrong - right.all).abs() <= right.all * 0.05, "{rows:?}");
    // On a busy machine the disk is slower than configured; fio says whether it was.
    let in_time = fio.reads.within(Duration::from_secs_f64(right.high)) as f64 / fio.reads.count as f64;
    assert!(wrong <= right.rate * 0.2 || in_time < 0.95, "{rows:?}, {in_time} of fio's are in time");

    let middle: Vec<_> = rates.iter().copied().filter(|rate| *rate > 0.0).skip(2).take(16).collect();
    let mean = middle.iter().sum::<f64>() / middle.len() as f64;
    assert!(middle.len() >= 12, "{rates:?}");
    assert!((mean / rate - 1.0).abs() <= 0.05, "{mean} a second of {rate}: {rates:?}");
    browser.assert_clean(&origin);
    drop(browser);
    host.stop();
}

#[test]
fn the_page_loads_with_tls_and_a_user() {
    needs!(Root, Tool("openssl"), Tool("chromium"));
    let folder = Folder::new();
    let openssl = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=server \
                   -addext subjectAltName=IP:127.0.0.1 -keyout server.key -out server.pem";
    let mut command = std::process::Command::new("openssl");
    output(command.current_dir(folder.path()).args(openssl.split_whitespace()).stderr(std::process::Stdio::null()));
    // The password is `secret`.
    let text = "tls_server_config: { cert_file: server.pem, key_file: server.key }\n\
                basic_auth_users: { ada: $2b$06$abcdefghijklmnopqrstuuxLa0AkDDSrQ9VwNnETzOsObiucpMYgC }\n";
    let file = folder.path().join("web.yml");
    fs::write(&file, text).expect("our own folder");
    let host = Start::with(&committed()).args(&["--web.config.file", &file.display().to_string()]).listening();
    let origin = format!("https://{}", host.address());
    let mut browser = Browser::open();
    browser.trust_certificates();
    browser.log_in_as(Login { user: "ada", password: "secret" });
    open(&mut browser, &origin);
    browser.wait_for("document.querySelector('[data-package=biolatency] .chip').textContent === 'running' || document.querySelector('[data-package=biolatency] .chip').textContent === 'admitted'", SOON);
    browser.assert_clean(&origin);
    drop(browser);
    host.stop();
}

/// Packages that come, go, and are refused, and a host that is started again: the page shows each, and what it knows stays.
#[test]
fn the_page_follows_reloads_and_a_restart() {
    needs!(Root, Tool("chromium"));
    let folder = Folder::with_biolatency();
    let host = Ebhost::start(folder.path());
    let (address, origin) = (host.address(), format!("http://{}", host.address()));
    let mut browser = Browser::open();
    open(&mut browser, &origin);
    browser.wait_for("document.querySelector('[data-package=biolatency]')?.textContent.includes('entries')", SOON);

    folder.copy(&committed().join("llcstat"));
    folder.add("broken");
    host.hang_up();
    browser.wait_for("document.querySelector('[data-package=llcstat] .sentence')?.textContent.length > 20", SOON);
    let fault = browser.wait_for("document.querySelector('[data-package=broken] .fault')?.textContent", SOON);
    assert!(fault.as_str().is_some_and(|fault| fault.contains("rename the family")), "{fault}");
    fs::remove_dir_all(folder.path().join("broken")).expect("our own folder");
    host.hang_up();
    browser.wait_for("!document.querySelector('[data-package=broken]')", SOON);
    browser.assert_clean(&origin);

    let before = browser.evaluate("ebhost.stores[0].frames.last.t").as_f64();
    host.stop();
    browser.wait_for("document.getElementById('state').textContent === 'lost'", SOON);
    let again = Start::with(folder.path()).args(&["--web.listen-address", &address.to_string()]).listening();
    browser.wait_for("document.getElementById('state').textContent === 'live'", SOON);
    browser.wait_for("ebhost.stores[0].frames.fine.length > 8 && ebhost.stores[0].damaged === 0", SOON);
    let first = browser.evaluate("ebhost.stores[0].frames.first.t").as_f64();
    assert!(first < before, "what was known before is still shown");
    // That nobody listened for a moment is what the browser complains about, and nothing else.
    let complaints = browser.forget_complaints();
    assert!(complaints.iter().all(|complaint| complaint.contains("\"source\":\"network\"")), "{complaints:#?}");
    browser.assert_clean(&origin);
    drop(browser);
    again.stop();
}

/// Nothing is read while nobody looks; viewers share a collection; more than 16 are refused.
#[test]
fn nothing_runs_while_nobody_looks_and_viewers_are_bounded() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let value = |name: &str| host.scrape().value(name, &[]).unwrap_or_else(|| panic!("{name}"));
    let frames = || value("ebhost_feed_frames_total");
    assert_eq!(frames(), 0.0);
    let viewers: Vec<_> = (0..16).map(|_| host.begin("/page/stream")).collect();
    wait_until("16 viewers", SOON, || (value("ebhost_feed_viewers") == 16.0).then_some(()));
    let refused = host.get("/page/stream", &[]);
    assert_eq!((refused.status, refused.header("retry-after")), (503, "5"));
    assert!(refused.text().contains("16 viewers look already"), "{}", refused.text());
    let before = (frames(), value("ebhost_collections_total"));
    let began = Instant::now();
    thread::sleep(Duration::from_secs(5));
    let made = frames() - before.0;
    let seconds = began.elapsed().as_secs_f64();
    assert!((3.0..=seconds + 2.0).contains(&made), "{made} frames in {seconds} s for 16 viewers");
    drop(viewers);
    wait_until("no viewer", SOON, || (value("ebhost_feed_viewers") == 0.0).then_some(()));
    let after = frames();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(frames(), after, "a frame that nobody looks at");
    host.stop();
}

#[test]
fn files_of_the_page_are_not_sent_again_to_who_has_them() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    for path in ["/", "/page/app.js", "/page/style.css"] {
        let first = host.get(path, &[]);
        let policy = first.header("content-security-policy");
        assert!(first.status == 200 && policy.starts_with("default-src 'none';"), "{path}: {policy}");
        let again = host.get(path, &[("If-None-Match", first.header("etag"))]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    host.stop();
}
