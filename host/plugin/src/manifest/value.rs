//! Values: the position of a series' numbers in an entry's value, and whether they suit the family's kind.

use super::error::{Checked, ManifestRule, require};
use crate::contract::declared;
use ebhost_metrics::{Family, Kind};
use ebhost_series::schema::{Bucket, Encoding, NativeSlots, Number, Slots, SourceShape, Value};

/// Checks the value of a series in a family.
pub(super) fn value(
    place: &str,
    value: declared::Value,
    family: &Family,
    shape: SourceShape,
    value_size: usize,
) -> Checked<Value> {
    let is_events = matches!(shape, SourceShape::Events { .. });
    let suits = match (&value, &family.kind) {
        (declared::Value::One, Kind::Counter) => is_events,
        (declared::Value::One | declared::Value::Number(_), Kind::Gauge(_))
        | (declared::Value::Number(_), Kind::Counter) => true,
        (declared::Value::Observation(_), Kind::Histogram(_)) => is_events,
        (
            declared::Value::Slots(_) | declared::Value::NativeSlots(_) | declared::Value::Bucket(_),
            Kind::Histogram(_),
        ) => !is_events,
        _ => false,
    };
    let expected = match &family.kind {
        Kind::Counter => "`number`, or of events `one`, for a counter",
        Kind::Gauge(_) => "`number` or `one` for a gauge",
        Kind::Histogram(_) => "`slots`, `native-slots` or `bucket`, of events `observation`, for a histogram",
    };
    require(suits, ManifestRule::Value, place, format!("the value `{}`", value_name(&value)), expected)?;
    let is_gauge = matches!(family.kind, Kind::Gauge(_));
    let sum =
        |sum: Option<declared::Number>| sum.map(|sum| number(place, sum, value_size, Signs::Unsigned)).transpose();
    Ok(match value {
        declared::Value::One => Value::One,
        declared::Value::Number(field) => {
            Value::Number(number(place, field, value_size, if is_gauge { Signs::Any } else { Signs::Unsigned })?)
        }
        declared::Value::Observation(field) => Value::Observation(number(place, field, value_size, Signs::Any)?),
        declared::Value::Slots(slots) => {
            let count = bounds(family).len() + 1;
            let size = slots.size as usize;
            require(matches!(size, 4 | 8), ManifestRule::Value, place, format!("slots of {size} bytes"), "4 or 8")?;
            check_run(place, slots.offset as usize, size, count, value_size)?;
            Value::Slots(Slots { offset: slots.offset as usize, size, sum: sum(slots.sum)? })
        }
        declared::Value::NativeSlots(slots) => native_slots(place, &slots, family, value_size, sum(slots.sum)?)?,
        declared::Value::Bucket(bucket) => Value::Bucket(Bucket {
            count: number(place, bucket.count, value_size, Signs::Unsigned)?,
            sum: sum(bucket.sum)?,
        }),
    })
}

/// Numbers that are allowed at a place.
#[derive(Clone, Copy)]
enum Signs {
    Any,
    Unsigned,
}

fn number(place: &str, number: declared::Number, value_size: usize, signs: Signs) -> Checked<Number> {
    let (offset, size) = (number.offset as usize, number.size as usize);
    require(
        matches!(size, 1 | 2 | 4 | 8),
        ManifestRule::Number,
        place,
        format!("a number of {size} bytes"),
        "1, 2, 4 or 8",
    )?;
    check_run(place, offset, size, 1, value_size)?;
    let is_legal = matches!(signs, Signs::Any) || number.encoding == Encoding::Unsigned;
    require(
        is_legal,
        ManifestRule::Number,
        place,
        "a signed number",
        "an unsigned one: only gauges and observations fall below 0",
    )?;
    Ok(Number { offset, size, encoding: number.encoding })
}

/// Checks that an array of `count` numbers of `size` bytes is within the value.
fn check_run(place: &str, offset: usize, size: usize, count: usize, value_size: usize) -> Checked<()> {
    let end = size.checked_mul(count).and_then(|bytes| bytes.checked_add(offset));
    let found = format!("{count} × {size} bytes from byte {offset}");
    require(
        end.is_some_and(|end| end <= value_size),
        ManifestRule::Number,
        place,
        found,
        format!("bytes within the value's {value_size}"),
    )
}

fn native_slots(
    place: &str,
    slots: &declared::NativeSlots,
    family: &Family,
    value_size: usize,
    sum: Option<Number>,
) -> Checked<Value> {
    let (schema, first, count) = (slots.schema, slots.first, slots.count as usize);
    require(
        (-4..=8).contains(&schema),
        ManifestRule::Value,
        place,
        format!("schema {schema}"),
        "-4 to 8, as Prometheus has them",
    )?;
    require(
        (1..=65_536).contains(&count),
        ManifestRule::Value,
        place,
        format!("{count} native buckets"),
        "1 to 65536",
    )?;
    check_run(place, slots.offset as usize, 8, count + 2, value_size)?;
    let width = 2f64.powi(-i32::from(schema));
    let ends = [f64::from(first) - 1.0, f64::from(first) + count as f64 - 1.0].map(|index| (index * width).exp2());
    let found = format!("native buckets from {} to {}", ends[0], ends[1]);
    require(
        ends[0].is_normal() && ends[1].is_finite(),
        ManifestRule::Value,
        place,
        found,
        "ends that are numbers above 0",
    )?;
    for bound in bounds(family) {
        let index = bound.log2() / width;
        let is_end = (index - index.round()).abs() < 1e-6
            && index.round() >= f64::from(first) - 1.0
            && index.round() < f64::from(first) + count as f64;
        require(
            is_end,
            ManifestRule::Bounds,
            place,
            format!("the bound {bound}"),
            "bounds that are ends of its native buckets",
        )?;
    }
    Ok(Value::NativeSlots(NativeSlots { offset: slots.offset as usize, schema, first, count, sum }))
}

/// Upper bounds of a histogram; empty for other kinds.
pub(super) fn bounds(family: &Family) -> &[f64] {
    match &family.kind {
        Kind::Histogram(bounds) => bounds,
        Kind::Counter | Kind::Gauge(_) => &[],
    }
}

fn value_name(value: &declared::Value) -> &'static str {
    match value {
        declared::Value::One => "one",
        declared::Value::Number(_) => "number",
        declared::Value::Observation(_) => "observation",
        declared::Value::Slots(_) => "slots",
        declared::Value::NativeSlots(_) => "native-slots",
        declared::Value::Bucket(_) => "bucket",
    }
}
