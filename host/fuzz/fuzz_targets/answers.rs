#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ebhost_plugin_host::fuzz::answer(bytes));
