//! Components with any manifest, and any answers: what the contract allows, in amounts that no honest plugin has.

use ebhost_tests::component::{DATA_BASE, GuestData, component_of, pair, variant, words};

/// A component. All of its families are alike, and all of its views, which share one list of series.
#[derive(Debug, Clone, Copy)]
pub(super) struct Guest {
    pub(super) families: usize,
    pub(super) kind: Kind,
    /// Label names of each family.
    pub(super) labels: usize,
    pub(super) label: Label,
    pub(super) help_bytes: usize,
    pub(super) views: usize,
    /// Series of each view; family after family.
    pub(super) series: usize,
    pub(super) map: Map,
    /// Bytes of the label value that is answered for each entry, or of the text that refuses it.
    pub(super) text_bytes: usize,
    pub(super) answer: Answer,
    /// Turns of a loop with which `describe` begins.
    pub(super) describe_turns: u64,
    /// WebAssembly text that runs first in `decode`. The local `$n` and the global `$calls`, the number of the call in its instance, are there.
    pub(super) decode: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    /// With so many bounds.
    Histogram(u32),
    /// With so many native buckets.
    Native(u32),
}

/// The source of all labels.
#[derive(Debug, Clone, Copy)]
pub(super) enum Label {
    /// The answer for the entry.
    Column,
    /// A text of so many bytes.
    Fixed(usize),
    /// The same; the first label is the CPU.
    CpuAndFixed(usize),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Answer {
    Labels,
    Refusals,
}

/// The maps of [`OBJECT`].
#[derive(Debug, Clone, Copy)]
pub(super) enum Map {
    /// An array of 256 values of 515 numbers each.
    Wide,
    /// A hash of numbers, which tests fill.
    Fresh,
    /// 256 numbers for each CPU.
    ByCpu,
}

pub(super) const OBJECT: &str = "
struct wide { u64 numbers[515]; };
MAP(wide, u32, struct wide);
struct { int (*type)[1]; int (*max_entries)[4]; u32 *key; u64 *value; } fresh SEC(\".maps\");
struct { int (*type)[6]; int (*max_entries)[4]; u32 *key; u64 *value; } by_cpu SEC(\".maps\");
SEC(\"raw_tp/sched_process_exec\") int idle(void *context) { return 0; }
";

impl Map {
    fn name_and_value_size(self) -> (&'static str, u32) {
        match self {
            Self::Wide => ("wide", 515 * 8),
            Self::Fresh => ("fresh", 8),
            Self::ByCpu => ("by_cpu", 8),
        }
    }
}

/// One counter with a series for each entry of the array: a component that does nothing wrong.
pub(super) const HONEST: Guest = Guest {
    families: 1,
    kind: Kind::Counter,
    labels: 1,
    label: Label::Column,
    help_bytes: 8,
    views: 1,
    series: 1,
    map: Map::Wide,
    text_bytes: 8,
    answer: Answer::Labels,
    describe_turns: 0,
    decode: "",
};

impl Guest {
    pub(super) fn component(&self) -> Vec<u8> {
        let mut data = GuestData::default();
        let manifest = self.manifest(&mut data);
        let result = data.place(4, &[&[0, 0, 0, 0][..], &manifest].concat()); // ok(manifest)
        let rows = data.place(4, &[0; 32]);
        let (heap, segment) = (data.end(), data.segment());
        let answer = match self.answer {
            Answer::Labels => labels(self.text_bytes, matches!(self.label, Label::Column)),
            Answer::Refusals => refusals(self.text_bytes),
        };
        component_of(&format!(
            r#"(module (memory (export "memory") {pages})
               (global $next (mut i32) (i32.const {heap}))
               (global $calls (mut i32) (i32.const 0))
               {segment}
               (func $take (param $bytes i32) (result i32) (local $at i32)
                 (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                 (global.set $next (i32.add (local.get $at) (local.get $bytes)))
                 (block $enough (loop $more
                   (br_if $enough (i32.le_u (global.get $next) (i32.shl (memory.size) (i32.const 16))))
                   (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
                   unreachable))
                 (local.get $at))
               (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (call $take (local.get 3)))
               (func (export "ebhost:plugin/decoder@0.1.0#describe") (param i32 i32) (result i32) (local $n i64)
                 (loop $slow (local.set $n (i64.add (local.get $n) (i64.const 1)))
                   (br_if $slow (i64.lt_u (local.get $n) (i64.const {turns}))))
                 (i32.const {result}))
               (func (export "cabi_post_ebhost:plugin/decoder@0.1.0#decode") (param i32)
                 (global.set $next (i32.const {heap})))
               (func (export "ebhost:plugin/decoder@0.1.0#decode")
                 (param $view i32) (param $count i32) (param $ids i32) (param i32 i32 i32 i32 i32) (result i32)
                 (local $n i64) (local $entry i32) (local $list i32) (local $labels i32) (local $text i32) (local $digit i32)
                 (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                 {decode}
                 {answer}
                 (i32.const {rows})))"#,
            pages = heap / (1 << 16) + 1,
            turns = self.describe_turns,
            decode = self.decode,
            answer = answer.replace("ROWS", &rows.to_string()),
        ))
    }

    fn manifest(&self, data: &mut GuestData) -> Vec<u8> {
        let one = 1f64.to_le_bytes();
        let names: Vec<_> = (0..self.labels).map(|label| data.string(&format!("l{label}")).to_vec()).collect();
        let (names, help, unit) = (data.list(4, &names), data.string(&"h".repeat(self.help_bytes)), data.string(""));
        let (kind, value) = self.kind_and_value(data);
        let families: Vec<_> = (0..self.families)
            .map(|family| {
                let ending = if let Kind::Counter = self.kind { "total" } else { "size" };
                let name = data.string(&format!("hostile_{family}_{ending}"));
                [&name[..], &help, &unit, &names, &kind, &[0; 4], &one, &one].concat()
            })
            .collect();
        let labels: Vec<_> = (0..self.labels).map(|label| self.label(label, data)).collect();
        let labels = data.list(4, &labels);
        let series = |index: usize| [&words(&[(index % self.families) as u32])[..], &labels, &value].concat();
        let series: Vec<_> = (0..self.series).map(series).collect();
        let series = data.list(4, &series);
        let (source, size) = self.map.name_and_value_size();
        let (source, identity) = (data.string(source), data.list(4, &[words(&[0, 0, 4])]));
        let nothing = pair(DATA_BASE as u32, 0);
        let columns = u32::from(matches!(self.label, Label::Column));
        let view = [&source[..], &words(&[4, size]), &identity, &nothing, &words(&[columns]), &series].concat();
        let (families, views) = (data.list(8, &families), data.list(4, &vec![view; self.views]));
        [families, views].concat()
    }

    fn kind_and_value(&self, data: &mut GuestData) -> (Vec<u8>, Vec<u8>) {
        let mut histogram = |bounds: &[f64]| {
            let bounds: Vec<_> = bounds.iter().map(|bound| bound.to_le_bytes().to_vec()).collect();
            variant(2, &data.list(8, &bounds), 12)
        };
        let no_sum = variant(0, &[], 16);
        match self.kind {
            Kind::Counter => (variant(0, &[], 12), variant(1, &words(&[0, 8, 0]), 36)),
            Kind::Histogram(bounds) => {
                let bounds: Vec<_> = (0..bounds).map(|bound| f64::from(bound) + 0.125).collect();
                (histogram(&bounds), variant(3, &[&words(&[0, 8])[..], &no_sum].concat(), 36))
            }
            // Schema 3, from index 8: the first bucket ends at 2.
            Kind::Native(count) => {
                (histogram(&[2.0]), variant(4, &[&words(&[0, 3, 8, count])[..], &no_sum].concat(), 36))
            }
        }
    }

    fn label(&self, index: usize, data: &mut GuestData) -> Vec<u8> {
        match self.label {
            Label::Column => variant(0, &words(&[0]), 12),
            Label::CpuAndFixed(_) if index == 0 => variant(2, &[], 12),
            Label::Fixed(bytes) | Label::CpuAndFixed(bytes) => variant(1, &data.string(&"f".repeat(bytes)), 12),
        }
    }
}

/// Fills the entry's text with `x` and begins it with eight letters for the number of its identity.
const WRITE_TEXT: &str = "
    (memory.fill (local.get $text) (i32.const 120) (i32.const BYTES))
    (local.set $digit (i32.const 0))
    (loop $digits
      (i32.store8 (i32.add (local.get $text) (local.get $digit))
        (i32.add (i32.const 97) (i32.and (i32.const 15)
          (i32.shr_u (i32.load (i32.add (local.get $ids) (i32.shl (local.get $entry) (i32.const 2))))
            (i32.shl (local.get $digit) (i32.const 2))))))
      (local.set $digit (i32.add (local.get $digit) (i32.const 1)))
      (br_if $digits (i32.lt_u (local.get $digit) (i32.const 8))))";

/// Answers with one label value for each entry, and no column if it has no use.
fn labels(bytes: usize, has_column: bool) -> String {
    if !has_column {
        return String::new();
    }
    let write = WRITE_TEXT.replace("BYTES", &bytes.to_string());
    format!(
        "(local.set $list (call $take (i32.shl (local.get $count) (i32.const 3))))
         (local.set $labels (call $take (i32.shl (local.get $count) (i32.const 2))))
         (loop $entries
           (local.set $text (call $take (i32.const {bytes})))
           {write}
           (i32.store (i32.add (local.get $list) (i32.shl (local.get $entry) (i32.const 3))) (local.get $text))
           (i32.store offset=4 (i32.add (local.get $list) (i32.shl (local.get $entry) (i32.const 3))) (i32.const {bytes}))
           (i32.store (i32.add (local.get $labels) (i32.shl (local.get $entry) (i32.const 2))) (local.get $entry))
           (local.set $entry (i32.add (local.get $entry) (i32.const 1)))
           (br_if $entries (i32.lt_u (local.get $entry) (local.get $count))))
         (i32.store (i32.const ROWS) (local.get $list))
         (i32.store offset=4 (i32.const ROWS) (local.get $count))
         (i32.store offset=8 (i32.const ROWS) (local.get $labels))
         (i32.store offset=12 (i32.const ROWS) (local.get $count))"
    )
}

/// Refuses each entry with a text of its own.
fn refusals(bytes: usize) -> String {
    let write = WRITE_TEXT.replace("BYTES", &bytes.to_string());
    format!(
        "(local.set $list (call $take (i32.shl (local.get $count) (i32.const 4))))
         (local.set $labels (call $take (i32.shl (local.get $count) (i32.const 2))))
         (memory.fill (local.get $labels) (i32.const 0) (i32.shl (local.get $count) (i32.const 2)))
         (loop $entries
           (local.set $text (call $take (i32.const {bytes})))
           {write}
           (i32.store (i32.add (local.get $list) (i32.shl (local.get $entry) (i32.const 4))) (local.get $entry))
           (i32.store offset=4 (i32.add (local.get $list) (i32.shl (local.get $entry) (i32.const 4))) (i32.const 1))
           (i32.store offset=8 (i32.add (local.get $list) (i32.shl (local.get $entry) (i32.const 4))) (local.get $text))
           (i32.store offset=12 (i32.add (local.get $list) (i32.shl (local.get $entry) (i32.const 4))) (i32.const {bytes}))
           (local.set $entry (i32.add (local.get $entry) (i32.const 1)))
           (br_if $entries (i32.lt_u (local.get $entry) (local.get $count))))
         (i32.store offset=8 (i32.const ROWS) (local.get $labels))
         (i32.store offset=12 (i32.const ROWS) (local.get $count))
         (i32.store offset=24 (i32.const ROWS) (local.get $list))
         (i32.store offset=28 (i32.const ROWS) (local.get $count))"
    )
}
