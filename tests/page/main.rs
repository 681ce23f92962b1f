//! The live page in a real browser, and the flight recorder.
//!
//! Every test of the page ends with a look at what the browser complained about: no error on the console, no request to elsewhere, no
//! violation of the page's policy. Pictures are kept in `target/page/`.

mod cost;
mod decoder;
mod live;
mod recorder;
mod shapes;
mod story;

use std::time::Duration;

use ebhost_tests::Browser;

/// Frames come once a second; the machine may be under load.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The family of most of these tests.
pub(crate) const LATENCY: &str = "ebhost_bio_latency_seconds";

/// The page of a host or viewer, once it has frames.
pub(crate) fn open(browser: &mut Browser, origin: &str) {
    browser.go(&format!("{origin}/"));
    browser.wait_for("ebhost.stores.length > 0 && ebhost.stores.every((store) => store.frames.last)", SOON);
}

/// The text of a part of a family's panel.
pub(crate) fn text_of(family: &str, part: &str) -> String {
    format!("document.querySelector('[data-family={family}] {part}').textContent")
}

/// The list in a family's panel that has a value of a label, or nothing.
pub(crate) fn list_with(family: &str, value: &str) -> String {
    format!(
        "[...document.querySelectorAll('[data-family={family}] select')].find((list) => [...list.options].some((option) => option.value === '{value}'))"
    )
}
