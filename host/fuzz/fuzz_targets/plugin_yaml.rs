#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = ebhost::package::check_text(std::path::Path::new("plugin.yaml"), text);
});
