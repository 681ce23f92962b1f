#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Err(error) = ebhost_package::check_text(Path::new("p/plugin.yaml"), text) {
        assert!(error.to_string().starts_with("p/plugin.yaml"), "{error}");
    }
});
