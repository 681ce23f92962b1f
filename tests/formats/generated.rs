//! A package of families that no package of this repository has: negative bounds, a histogram without sum, signed gauges, label values
//! that have to be escaped. Its component is assembled here, manifest and all, from WebAssembly text.

use std::{fs, path::Path};

use ebhost_tests::{
    KernelMap, compile,
    component::{DATA_BASE, GuestData, component_of, pair, variant, words},
};

/// Four counts and a sum, a counter, and a signed number.
const OBJECT: &str = "
struct numbers { u64 counts[4]; u64 sum; u64 total; long long level; };
MAP(numbers, u32, struct numbers);
SEC(\"raw_tp/sched_process_exec\") int idle(void *context) { return 0; }
";

const NUMBERS: [i64; 7] = [1, 2, 3, 4, 77, 41, -5];

/// Writes the package into a new folder.
pub(crate) fn write_package(folder: &Path) {
    fs::create_dir(folder).expect("our own folder");
    compile(OBJECT, "bpf", &folder.join("generated.bpf.o"));
    fs::write(folder.join("generated.wasm"), component()).expect("our own folder");
    let yaml = "name: generated\ncomponent: generated.wasm\nbpf:\n  object: generated.bpf.o\n";
    fs::write(folder.join("plugin.yaml"), yaml).expect("our own folder");
}

/// Puts the numbers into the map of a host that runs the package.
pub(crate) fn fill(pid: u32) {
    let value: Vec<u8> = NUMBERS.iter().flat_map(|number| number.to_le_bytes()).collect();
    assert!(KernelMap::of(pid, "numbers").update(&0u32.to_le_bytes(), &value));
}

/// Writes a drop-in configuration with a counter of its own name.
pub(crate) fn write_drop_in(folder: &Path, name: &str) {
    let source = format!(
        "struct {{ int (*type)[2]; int (*max_entries)[4]; u32 *key; u64 *value; }} {name}_counts SEC(\".maps\");
         SEC(\"raw_tp/sched_process_exec\") int idle(void *context) {{ return 0; }}"
    );
    compile(&source, "bpf", &folder.join(format!("{name}.bpf.o")));
    let yaml = format!(
        "metrics:\n  counters:\n    - name: {name}_counts\n      help: Counts.\n      labels: \
         [{{ name: id, size: 4, decoders: [{{ name: uint }}] }}]\n"
    );
    fs::write(folder.join(format!("{name}.yaml")), yaml).expect("our own folder");
}

/// The component: `describe` gives a manifest that lies in memory, `decode` says of the one identity that it has no columns.
fn component() -> Vec<u8> {
    let mut memory = GuestData::default();
    let manifest = manifest(&mut memory);
    let result = memory.place(4, &[&[0, 0, 0, 0][..], &manifest].concat()); // ok(manifest)
    let rows = memory.place(4, &[0; 32]); // four empty lists
    let data = memory.segment();
    component_of(&format!(
        "(module (memory (export \"memory\") 32)
           (global $next (mut i32) (i32.const 131072))
           {data}
           (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
             (global.set $next (i32.and (i32.add (global.get $next) (i32.const 15)) (i32.const -16)))
             (global.get $next)
             (global.set $next (i32.add (global.get $next) (local.get 3))))
           (func (export \"ebhost:plugin/decoder@0.1.0#describe\") (param i32 i32) (result i32) (i32.const {result}))
           (func (export \"ebhost:plugin/decoder@0.1.0#decode\")
             (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) (i32.const {rows})))"
    ))
}

/// Offset of a number of 8 bytes in the map's value.
fn number(offset: u32, is_signed: bool) -> Vec<u8> {
    words(&[offset, 8, u32::from(is_signed)])
}

/// Four counts at the beginning, and the sum behind them if there is to be one.
fn slots(sum: Option<u32>) -> Vec<u8> {
    let sum = sum.map_or_else(|| variant(0, &[], 16), |offset| variant(1, &number(offset, false), 16));
    [words(&[0, 8]), sum].concat()
}

const COUNTER: u32 = 0;
const GAUGE: u32 = 1;
const HISTOGRAM: u32 = 2;

const NUMBER: u32 = 1;
const SLOTS: u32 = 3;

fn manifest(memory: &mut GuestData) -> Vec<u8> {
    let histogram = |memory: &mut GuestData, bounds: &[f64]| {
        let bounds: Vec<_> = bounds.iter().map(|bound| bound.to_le_bytes().to_vec()).collect();
        variant(HISTOGRAM, &memory.list(8, &bounds), 12)
    };
    let negative = histogram(memory, &[-1.0, 0.0, 1.0]);
    let sumless = histogram(memory, &[1e-5, 1.0, 1e6]);
    let summed = histogram(memory, &[1e-5, 1.0, 1e6]);
    let value = |case, payload: &[u8]| variant(case, payload, 36);
    let all = [
        ("generated_negative", negative, None, value(SLOTS, &slots(Some(32)))),
        ("generated_sumless", sumless, None, value(SLOTS, &slots(None))),
        ("generated_summed", summed, None, value(SLOTS, &slots(Some(32)))),
        ("generated_total", variant(COUNTER, &[], 12), Some("label"), value(NUMBER, &number(40, false))),
        ("generated_signed", variant(GAUGE, &[0; 4], 12), None, value(NUMBER, &number(48, true))),
    ];
    let (mut families, mut series) = (Vec::new(), Vec::new());
    for (index, (name, kind, label, value)) in all.into_iter().enumerate() {
        let labels: Vec<_> = label.iter().map(|label| memory.string(label).to_vec()).collect();
        let texts = [name, "A \"help\" text with a \\ and\na second line.", ""].map(|text| memory.string(text));
        let labels = memory.list(4, &labels);
        let one = 1f64.to_le_bytes();
        families.push([&texts.concat()[..], &labels, &kind, &[0; 4], &one, &one].concat());
        let fixed: Vec<_> =
            label.iter().map(|_| variant(1, &memory.string("a \"quoted\" \\ value\nof two lines"), 12)).collect();
        let labels = memory.list(4, &fixed);
        series.push([&words(&[index as u32])[..], &labels, &value].concat());
    }
    let series = memory.list(4, &series);
    let source = memory.string("numbers");
    let empty = pair(DATA_BASE as u32, 0);
    let view = [&source[..], &words(&[4, 56]), &empty, &empty, &words(&[0]), &series].concat();
    let (families, views) = (memory.list(8, &families), memory.list(4, &[view]));
    [families, views].concat()
}
