//! Any bytes as a BPF object: parsed, relocated against the types of biolatency's object, linked, and its types fitted to old and new kernels. It
//! never panics, and never has more memory at once than a few times the file's length.

#![no_main]

use std::sync::{Arc, LazyLock};

use ebhost_object::{Btf, BtfFeatures, MapFds, Object, core::KernelTypes};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Beside four times the file's length: what short files may take, too.
const LEAST_BYTES: usize = 256 << 10;

struct Types(Arc<Btf>);

impl KernelTypes for Types {
    fn kernel(&self) -> &Arc<Btf> {
        &self.0
    }

    fn modules(&self) -> &[Arc<Btf>] {
        std::slice::from_ref(&self.0)
    }
}

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let object =
        Object::parse(include_bytes!("../../../plugins/biolatency/biolatency.bpf.o")).expect("it is committed");
    Types(Arc::new(object.btf.expect("it has types")))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    LazyLock::force(&TYPES);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    load(bytes);
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= 4 * bytes.len() + LEAST_BYTES, "{taken} bytes of memory for a file of {}", bytes.len());
});

fn load(bytes: &[u8]) {
    let Ok(mut object) = Object::parse(bytes) else { return };
    object.relocate(&*TYPES);
    let fds = vec![3; object.maps.len()];
    for program in &object.programs {
        let _ = object.link(&program.name, MapFds(&fds));
    }
    for features in [BtfFeatures::ALL, BtfFeatures::NONE] {
        let _ = object.kernel_btf(features);
    }
}
