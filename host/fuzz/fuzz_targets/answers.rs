#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ebhost::plugin::fuzz::answer(bytes));
