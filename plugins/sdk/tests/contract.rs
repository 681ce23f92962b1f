//! The SDK can express everything in the contract, and produces the contract's records; contradictions in a manifest are rejected with a
//! message that names them.

use ebhost_plugin::testing::{Harness, Manifest as Described, Reason};
use ebhost_plugin::{
    Answer, Bucket, BucketAnswer, Family, Fold, LookupNames, Manifest, PerfReading, Plugin, Refusal, Source, View,
    bucket, exp2, fixed, key, key_at, layout, linear, member, native_slots, number, observation, one, row, slots,
    table, text, value, value_at,
};

layout! {
    struct Flow: 24 bytes { protocol: u8, port: u16, interface: u32, from: [u8; 4], cgroup: u64 }
}

layout! {
    struct Totals: 24 bytes { bytes: u64, packets: u32, level: i32, kind: u8, state: u8 }
}

layout! {
    struct Slot: 8 bytes { cgroup: u32, slot: u32 }
}

layout! {
    struct Native: 48 bytes { sum: u64, counts: [u64; 5] }
}

layout! {
    struct Exec: 24 bytes { comm: [u8; 16], took_us: u64 }
}

/// A plugin that uses everything in the contract.
struct Whole;

impl Plugin for Whole {
    type Config = serde_json::Map<String, serde_json::Value>;

    fn new(config: Self::Config) -> Result<Self, String> {
        if config.is_empty() { Ok(Self) } else { Err(format!("config: {} keys, expected none", config.len())) }
    }

    fn describe(&self) -> Manifest<Self> {
        let mut manifest = Manifest::new();
        let bytes =
            manifest.family(Family::counter("flow_bytes_total").unit("bytes").labels(["interface", "port", "dir"]));
        let level = manifest.family(Family::gauge("flow_level", Fold::Max).labels(["cpu"]).times(2.0));
        let flows = manifest.family(Family::gauge("flows", Fold::Sum));
        let size = manifest.family(Family::histogram("flow_size_bytes", linear(0, 100, 2)).labels(["cgroup"]));
        let native = manifest.family(Family::histogram("wait_seconds", exp2(-2..=0)));
        let exec = manifest.family(Family::histogram("exec_seconds", fixed([0.1, 1.0])).labels(["comm"]).per(1e6));
        let execs = manifest.family(Family::counter("execs_total").labels(["comm"]));
        let misses = manifest.family(Family::counter("llc_misses_total").labels(["cpu"]));

        manifest.view(
            View::table::<Flow, Totals>("flows")
                .identity((key(), value_at(member!(Totals.kind))))
                .lookup(table::NETWORK_INTERFACE, key_at(member!(Flow.interface)))
                .feed_from(
                    bytes,
                    [Source::Column(0), Source::Column(1), Source::fixed("in")],
                    number(member!(Totals.bytes)),
                )
                .feed_from(flows, [], one())
                .rows(Self::flow),
        );
        manifest.view(
            View::table::<u32, Totals>("levels")
                .feed_from(level, [Source::Cpu], number(member!(Totals.level)))
                .rows(|_: &Self, (): &(), _: LookupNames<'_, 0>| row![]),
        );
        manifest.view(
            View::table::<Slot, u64>("sizes")
                .identity(key())
                .lookup(table::CGROUP, key_at(member!(Slot.cgroup)))
                .feed(size, bucket(member!(u64)).sum(member!(u64)))
                .bucket_rows(Self::size),
        );
        manifest.view(
            View::table::<u32, Native>("waits")
                .feed(native, native_slots(member!(Native.counts), 0, -1).sum(member!(Native.sum)))
                .rows(|_: &Self, (): &(), _: LookupNames<'_, 0>| row![]),
        );
        manifest.view(
            View::events::<Exec>("execs")
                .identity(value_at(member!(Exec.comm)))
                .feed(exec, observation(member!(Exec.took_us)))
                .feed(execs, one())
                .rows(Self::exec),
        );
        manifest.view(
            View::perf::<2>("llc")
                .feed_from(misses, [Source::Cpu], number(PerfReading::event(1)))
                .rows(|_: &Self, (): &(), _: LookupNames<'_, 0>| row![]),
        );
        manifest
    }
}

impl Whole {
    fn flow<'a>(&'a self, (flow, kind): &'a (Flow, u8), [interface]: LookupNames<'a, 1>) -> Answer<'a, 2> {
        match kind {
            0 => Err(Refusal::Skip),
            1 => row![interface.ok_or(Refusal::Skip)?, text::network_order(flow.port)],
            _ => Err(Refusal::unknown(format_args!("kind {kind}, expected 0 or 1"))),
        }
    }

    fn size<'a>(&'a self, slot: &'a Slot, [cgroup]: LookupNames<'a, 1>) -> BucketAnswer<'a, 1> {
        let bucket = if slot.slot == 9 { Bucket::Sum } else { Bucket::Slot(slot.slot) };
        Ok((bucket, [cgroup.ok_or(Refusal::Skip)?.into()]))
    }

    fn exec<'a>(&'a self, comm: &'a [u8; 16], _: LookupNames<'a, 0>) -> Answer<'a, 1> {
        row![text::c_string(comm)]
    }
}

fn whole() -> Harness<Whole> {
    Harness::new("{}").expect("a manifest without mistakes")
}

/// A short text form of a view of the contract.
fn view_text(manifest: &Described, view: usize) -> String {
    let view = &manifest.views[view];
    let identity = view.identity.iter().map(|field| format!("{:?} {}+{}", field.part, field.offset, field.length));
    let series = view.series.iter().map(|series| format!("{:?} {:?}", series.labels, series.value));
    format!(
        "{} {}:{} [{}] {:?} {} {}",
        view.source,
        view.key_size,
        view.value_size,
        identity.collect::<Vec<_>>().join(", "),
        view.lookups.iter().map(|lookup| (lookup.table.as_str(), lookup.field)).collect::<Vec<_>>(),
        view.columns,
        series.collect::<Vec<_>>().join("; ")
    )
}

#[test]
fn everything_in_the_contract_can_be_expressed() {
    let whole = whole();
    let expected = [
        "flows 24:24 [Part::Key 0+1, Part::Key 2+2, Part::Key 4+4, Part::Key 8+4, Part::Key 16+8, Part::Value 16+1] \
         [(\"network-interface\", 2)] 2 \
         [Label::Column(0), Label::Column(1), Label::Fixed(\"in\")] \
         Value::Number(Number { offset: 0, size: 8, is-signed: false }); [] Value::One",
        "levels 4:24 [] [] 0 [Label::Cpu] Value::Number(Number { offset: 12, size: 4, is-signed: true })",
        "sizes 8:8 [Part::Key 0+4, Part::Key 4+4] [(\"cgroup\", 0)] 1 [Label::Column(0)] \
         Value::Bucket(Bucket { count: Number { offset: 0, size: 8, is-signed: false }, \
         sum: Some(Number { offset: 0, size: 8, is-signed: false }) })",
        "waits 4:48 [] [] 0 [] Value::NativeSlots(NativeSlots { offset: 8, schema: 0, first: -1, count: 3, \
         sum: Some(Number { offset: 0, size: 8, is-signed: false }) })",
        "execs 0:24 [Part::Value 0+16] [] 1 [Label::Column(0)] \
         Value::Observation(Number { offset: 16, size: 8, is-signed: false }); [Label::Column(0)] Value::One",
        "llc 4:32 [] [] 0 [Label::Cpu] Value::Number(Number { offset: 8, size: 8, is-signed: false })",
    ];
    for (view, expected) in expected.iter().enumerate() {
        assert_eq!(view_text(whole.manifest(), view), *expected);
    }
    let level = whole.family("flow_level");
    assert_eq!(format!("{:?} {} {}", level.kind, level.times, level.per), "Kind::Gauge(Fold::Max) 2 1");
}

#[test]
fn an_identity_of_key_and_value_has_no_padding() {
    let whole = whole();
    let mut flow = vec![6, 0x01, 0xbb, 2, 0, 0, 0, 10, 0, 0, 1];
    flow.extend(7u64.to_le_bytes());
    let with_kind = |kind| [&flow[..], &[kind]].concat();
    let (skipped, good, odd) = (with_kind(0), with_kind(1), with_kind(5));
    let eth0: &[_] = &[Some("eth0")];
    let rows = whole.decode(0, &[(&skipped, eth0), (&good, eth0), (&odd, eth0), (&good, &[None])]);
    assert_eq!(rows[0], Err(Reason::Skip));
    assert_eq!(rows[1], Ok((vec!["eth0".into(), "443".into()], None)));
    assert_eq!(rows[2], Err(Reason::Unknown("kind 5, expected 0 or 1".into())));
    assert_eq!(rows[3], Err(Reason::Skip));
}

#[test]
fn bucket_entries_have_indices_and_the_sum_comes_after_all_slots() {
    let whole = whole();
    let slots: [&[u8]; 3] = [&[1, 0, 0, 0, 0, 0, 0, 0], &[1, 0, 0, 0, 2, 0, 0, 0], &[1, 0, 0, 0, 9, 0, 0, 0]];
    let rows = whole.decode(whole.view("sizes"), &slots.map(|slot| (slot, &[Some("/web")] as &[_])));
    let numbers: Vec<_> = rows.into_iter().map(|row| row.expect("a row").1).collect();
    assert_eq!(numbers, [Some(0), Some(2), Some(3)], "two bounds: slots 0 to 2, then the sum");
}

#[test]
fn text_that_is_not_utf8_gets_replacement_characters() {
    let whole = whole();
    let rows = whole.decode(whole.view("execs"), &[(b"ba\xffsh\0xxxxxxxxxx", &[])]);
    assert_eq!(rows, [Ok((vec!["ba\u{fffd}sh".into()], None))]);
}

#[test]
fn an_invalid_configuration_rejects_the_package_with_the_plugins_message() {
    assert_eq!(Harness::<Whole>::new(r#"{"x": 1}"#).err().as_deref(), Some("config: 1 keys, expected none"));
    let refusal = Harness::<Whole>::new("[]").err().expect("a list is no configuration");
    assert_eq!(refusal, "config: invalid type: sequence, expected a map");
}

/// Tests a manifest with a contradiction that types do not catch.
macro_rules! contradiction {
    ($name:ident, $message:literal, |$manifest:ident, $family:ident| $view:expr) => {
        #[test]
        fn $name() {
            struct Wrong;

            impl Plugin for Wrong {
                type Config = serde_json::Value;

                fn new(_: Self::Config) -> Result<Self, String> {
                    Ok(Self)
                }

                fn describe(&self) -> Manifest<Self> {
                    let mut $manifest = Manifest::new();
                    let $family = $manifest.family(Family::histogram("x_seconds", exp2(0..=1)).labels(["a"]));
                    $manifest.view($view);
                    $manifest
                }
            }

            assert_eq!(Harness::<Wrong>::new("{}").err().as_deref(), Some($message));
        }
    };
}

contradiction!(
    labels_and_columns_must_agree,
    "view `m`: found 0 label values for `x_seconds`, expected 1, as the family has labels: \
     try a row of 1, or `.feed_from(…)` with 1 sources",
    |m, x| View::table::<u32, [u64; 3]>("m")
        .feed(x, slots(member!([u64; 3])))
        .rows(|_: &Wrong, (): &(), _: LookupNames<'_, 0>| row![])
);
contradiction!(
    there_is_one_slot_more_than_bounds,
    "view `m`: found an array of 2 slots for `x_seconds`, expected 3 (one for each bound and one for +Inf): \
     try other bounds, or another array",
    |m, x| View::table::<u32, [u64; 2]>("m")
        .identity(key())
        .feed(x, slots(member!([u64; 2])))
        .rows(|_: &Wrong, key: &u32, _: LookupNames<'_, 0>| row![*key])
);
contradiction!(
    every_name_needs_a_lookup,
    "view `m`: the row function takes 1 names, but the view has 0 lookups: try one `.lookup(…)` for each name",
    |m, x| View::table::<u32, [u64; 3]>("m")
        .identity(key())
        .feed(x, slots(member!([u64; 3])))
        .rows(|_: &Wrong, _: &u32, [_name]: LookupNames<'_, 1>| row!["a"])
);
contradiction!(
    the_key_of_a_lookup_is_in_the_identity,
    "view `m`: the key of the lookup in `cgroup` is not one contiguous part of the identity: \
     try a member that `.identity(…)` contains",
    |m, x| View::table::<u32, [u64; 3]>("m")
        .identity(value())
        .lookup("cgroup", key())
        .feed(x, slots(member!([u64; 3])))
        .rows(|_: &Wrong, _: &[u64; 3], [_name]: LookupNames<'_, 1>| row!["a"])
);
contradiction!(
    lookups_do_not_overlap,
    "view `m`: the key of the lookup in `cgroup` is not one contiguous part of the identity: \
     try a member that `.identity(…)` contains",
    |m, x| View::table::<Slot, [u64; 3]>("m")
        .identity(key())
        .lookup("cgroup", key())
        .lookup("network-interface", key_at(member!(Slot.slot)))
        .feed(x, slots(member!([u64; 3])))
        .rows(|_: &Wrong, _: &Slot, [_cgroup, _interface]: LookupNames<'_, 2>| row!["a"])
);
contradiction!(
    buckets_need_bucket_rows,
    "view `m`: `x_seconds` is fed with a bucket, but the row function returns none: try `.bucket_rows(…)`",
    |m, x| View::table::<u32, u64>("m")
        .identity(key())
        .feed(x, bucket(member!(u64)))
        .rows(|_: &Wrong, key: &u32, _: LookupNames<'_, 0>| row![*key])
);
