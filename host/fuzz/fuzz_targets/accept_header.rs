#![no_main]

use ebhost_metrics::{Encoding, Format};

const OFFERED: [Format; 4] = [Format::Text004, Format::OpenMetrics100, Format::OpenMetrics001, Format::Protobuf];

libfuzzer_sys::fuzz_target!(|text: &str| {
    assert!(OFFERED.contains(&Format::negotiate(Some(text), &OFFERED)));
    Encoding::negotiate(Some(text));
});
