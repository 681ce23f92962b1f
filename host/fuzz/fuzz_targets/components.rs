#![no_main]

use std::sync::LazyLock;

use ebhost_package::Artefact;
use ebhost_plugin_host::Engine;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::new(None, None).expect("the engine runs on this machine"));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = ENGINE.compile(&Artefact::new("x.wasm".into(), bytes.to_vec())) {
        assert!(error.to_string().starts_with("x.wasm: "), "{error}");
    }
});
