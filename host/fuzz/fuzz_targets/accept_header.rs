#![no_main]

use ebhost_metrics::{Encoding, Format};

const OFFERED: &[Format] = Format::ALL;

libfuzzer_sys::fuzz_target!(|text: &str| {
    // No format is chosen that the header does not name.
    let lower = text.to_ascii_lowercase();
    match Format::negotiate(Some(text), OFFERED) {
        Format::Text004 => {}
        Format::Protobuf => assert!(lower.contains("application/vnd.google.protobuf")),
        _ => assert!(lower.contains("application/openmetrics-text")),
    }
    let is_gzip = Encoding::negotiate(Some(text)) == Encoding::Gzip;
    assert!(!is_gzip || lower.contains("gzip") || lower.contains('*'));
});
