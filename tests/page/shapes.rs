//! The page at different sizes and in both colours, and what drawing it takes.

use std::time::Duration;

use ebhost_tests::{Browser, Disk, Ebhost, Fio, Start, committed, needs};

use crate::{LATENCY, SOON, list_with, open};

/// Pictures at 1280 and 400 px, in both colours. Nothing is wider than the page.
#[test]
fn the_page_can_be_used_at_400_pixels_and_in_the_dark() {
    needs!(Root, Tool("fio"), Tool("chromium"));
    let disk = Disk::in_memory();
    let host = Ebhost::start(&committed());
    let origin = format!("http://{}", host.address());
    let mut browser = Browser::open();
    open(&mut browser, &origin);
    Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--rate_iops=200", "--time_based", "--runtime=8"]);
    browser.press("1");
    for (scheme, width, height) in
        [("light", 1280, 1000), ("dark", 1280, 1000), ("light", 400, 900), ("dark", 400, 900)]
    {
        browser.prefer(scheme);
        browser.resize(width, height);
        browser.wait_for(
            &format!("matchMedia('(prefers-color-scheme: {scheme})').matches && innerWidth === {width}"),
            SOON,
        );
        std::thread::sleep(Duration::from_millis(1500));
        let wide = browser.evaluate("document.documentElement.scrollWidth").as_u64();
        assert!(wide <= Some(width.into()), "{wide:?} pixels of {width}");
        let dark = browser.evaluate("getComputedStyle(document.body).backgroundColor");
        assert_eq!(dark == "rgb(17, 22, 29)", scheme == "dark", "{dark}");
        browser.screenshot(&format!("page-{width}-{scheme}"));
    }
    // Numbers that mean nothing say so.
    browser.evaluate("document.querySelector('[data-package=biolatency] details').open = true");
    let note = browser.wait_for("document.querySelector('[data-package=biolatency] .tables .note')?.textContent", SOON);
    assert!(note.as_str().is_some_and(|note| note.contains("unknown because")), "{note}");
    browser.assert_clean(&origin);
    drop(browser);
    host.stop();
}

/// With thirty packages most of the page was pictures of zeros, and the package that was looked for was far below.
#[test]
fn each_package_is_linked_at_the_top_and_zeros_are_folded_away() {
    needs!(Root, Tool("chromium"));
    let host = Start::with(&committed()).args(&["--set", "plugins.runqlat=on"]).listening();
    let origin = format!("http://{}", host.address());
    let mut browser = Browser::open();
    open(&mut browser, &origin);
    browser.wait_for("document.querySelectorAll('#overview a.up').length > 10", SOON);
    let links = browser.evaluate("document.querySelectorAll('#overview a').length");
    assert_eq!(links, browser.evaluate("document.querySelectorAll('.package').length"), "one for each package");
    let sorted = "[...document.querySelectorAll('#overview a')].map((link) => link.hash.slice(1)).join() === \
                  [...document.querySelectorAll('.package')].map((section) => section.id).join()";
    assert_eq!(browser.evaluate(sorted), true, "in the order of the packages");
    browser.evaluate("document.querySelector('#overview a[href=\"#package-runqlat\"]').click()");
    browser.wait_for("Math.abs(document.getElementById('package-runqlat').getBoundingClientRect().top) < 100", SOON);

    let folds = "[...document.querySelectorAll('[data-package=runqlat] > details')].filter((fold) => !fold.hidden)";
    // Series that did not count yet are folded, too, in the first seconds.
    let folded = "(fold) => /^[0-9]+ metrics at 0: .*ebhost_runqueue_lost_total/.test(fold.textContent)";
    browser.wait_for(&format!("{folds}.some({folded})"), SOON);
    let shown = "document.querySelector('[data-package=runqlat] > .grid [data-family=ebhost_runqueue_lost_total]') === null \
                 && document.querySelector('[data-package=runqlat] > .grid [data-family=ebhost_runqueue_latency_seconds]') !== null";
    browser.wait_for(shown, SOON);
    browser.assert_clean(&origin);
    drop(browser);
    host.stop();
}

/// Everything can be done without a mouse.
#[test]
fn the_keyboard_pauses_chooses_and_reads() {
    needs!(Root, Tool("chromium"));
    let host = Ebhost::start(&committed());
    let origin = format!("http://{}", host.address());
    let mut browser = Browser::open();
    open(&mut browser, &origin);
    browser.press("3");
    browser.wait_for("document.querySelector('#windows [aria-pressed=true]').textContent === '15 min'", SOON);
    browser.press(" ");
    browser.wait_for("document.getElementById('state').textContent === 'paused'", SOON);
    let still = browser.evaluate("ebhost.paused");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(browser.evaluate("ebhost.paused"), still);
    browser.press(" ");
    browser.wait_for("document.getElementById('state').textContent === 'live'", SOON);
    for theme in ["light", "dark", "auto"] {
        browser.press("t");
        browser.wait_for(&format!("document.documentElement.dataset.theme === '{theme}'"), SOON);
    }
    browser.assert_clean(&origin);
    drop(browser);
    host.stop();
}

/// The key went to a field in a closed fold, and what was typed stopped when a series came: its panel was given new fields.
#[test]
fn a_filter_is_reached_by_key_and_keeps_what_is_typed_when_series_come() {
    needs!(Root, Tool("fio"), Tool("chromium"));
    let (first, second) = (Disk::in_memory(), Disk::in_memory());
    let host = Ebhost::start(&committed());
    let origin = format!("http://{}", host.address());
    let mut browser = Browser::open();
    open(&mut browser, &origin);
    let used = |disk: &Disk| Fio::run(&disk.device(), &["--rw=randrw", "--bs=4k", "--size=1M"]);
    let panel = format!("document.querySelector('[data-family={LATENCY}]')");
    let listed = format!("!!{}", list_with(LATENCY, second.name()));
    used(&first);
    browser.wait_for(&format!("{panel} !== null"), SOON);
    // As that of a metric at 0 whose fold was opened and closed again.
    let fold = "(() => { const fold = document.createElement('details'); fold.className = 'filters'; \
                fold.append(document.createElement('input')); document.getElementById('packages').prepend(fold); })()";
    browser.evaluate(fold);
    browser.evaluate(&format!("{panel}.scrollIntoView()"));
    browser.wait_for(&format!("{panel}.querySelector('.filters').hidden === false"), SOON);
    browser.press("/");
    let focused = format!("{panel}.contains(document.activeElement) && document.activeElement.value");
    browser.wait_for(&format!("({focused}) === ''"), SOON);
    browser.press("w");
    browser.wait_for(&format!("({focused}) === 'w'"), SOON);
    assert_eq!(browser.evaluate(&listed), false, "it did nothing yet");
    used(&second);
    browser.wait_for(&listed, SOON);
    browser.press("r");
    browser.wait_for(&format!("({focused}) === 'wr'"), SOON);
    browser.press("Escape");
    browser.wait_for("document.activeElement === document.body", SOON);
    browser.assert_clean(&origin);
    drop(browser);
    host.stop();
}

/// Five minutes of 64 buckets, a count in each cell, drawn in the page's own code: the time is printed. A machine under load is slower, so what is
/// asserted is ten times as much.
#[test]
fn five_minutes_of_64_buckets_are_drawn_at_once() {
    needs!(Root, Tool("chromium"));
    let host = Ebhost::start(&committed());
    let origin = format!("http://{}", host.address());
    let mut browser = Browser::open();
    open(&mut browser, &origin);
    let times = browser.evaluate(include_str!("draw_64.js"));
    let best =
        times.as_array().expect("times").iter().filter_map(serde_json::Value::as_f64).fold(f64::INFINITY, f64::min);
    eprintln!("5 minutes of a heat map of 64 buckets: {best:.1} ms, the best of {times}");
    assert!(best < 500.0, "{times}");
    browser.assert_clean(&origin);
    drop(browser);
    host.stop();
}
