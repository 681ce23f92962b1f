//! Value rules: how the bytes of one value change the cells of one series.

use ebhost_metrics::scale::Scale;
use ebhost_metrics::{Family, Fold, Kind, Layout};

use super::layout::classic_buckets;
use super::reading::{IntegerType, Reading};
use super::thresholds::Thresholds;
use crate::schema::{Feed, Slots, Value, View};

/// The contribution of one value to one feed's series.
#[derive(Debug, PartialEq)]
pub(crate) enum ValueRule {
    /// Numbers that only grow. Each adds its increase to its cell.
    Cumulative(Vec<Lane>),
    /// One growing number: the count of the bucket that the answer names, or the sum.
    CumulativeBucket { count: Reading, sum: Option<Reading>, bounds: usize },
    /// The present value; without a reading 1, so that a sum counts entries.
    Gauge { reading: Option<Reading>, fold: Fold },
    /// The amount of an event; without a reading 1.
    EventAmount(Option<Reading>),
    /// The observation of an event: one for its bucket, and itself for the sum in cell `sum`.
    EventObservation { reading: Reading, thresholds: Thresholds, sum: usize },
}

/// A number of the value, and its cell within the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) reading: Reading,
    pub(crate) cell: usize,
}

impl ValueRule {
    pub(super) fn new(view: &View, feed: &Feed, family: &Family, layout: &Layout) -> Self {
        let sum_cell = layout.sum().unwrap_or_default();
        match (&feed.value, &family.kind) {
            (Value::One, Kind::Gauge(fold)) => Self::Gauge { reading: None, fold: *fold },
            (Value::One, _) => Self::EventAmount(None),
            (Value::Number(number), Kind::Gauge(fold)) => Self::Gauge { reading: Some((*number).into()), fold: *fold },
            (Value::Number(number), _) if view.is_events() => Self::EventAmount(Some((*number).into())),
            (Value::Number(number), _) => Self::Cumulative(vec![Lane { reading: (*number).into(), cell: 0 }]),
            (Value::Observation(number), kind) => {
                let scale = Scale::new(family.times, family.per);
                let bounds: &[f64] = if let Kind::Histogram(bounds) = kind { bounds } else { &[] };
                let reading = Reading::from(*number);
                Self::EventObservation {
                    reading,
                    thresholds: Thresholds::new(scale, bounds, reading.form),
                    sum: sum_cell,
                }
            }
            (Value::Slots(slots), _) => Self::Cumulative(lanes(slots, 0..layout.buckets(), sum_cell)),
            (Value::NativeSlots(native), _) => {
                let slots = Slots { offset: native.offset, size: 8, sum: native.sum };
                Self::Cumulative(match layout {
                    Layout::Native { count, .. } => lanes(&slots, 0..count + 2, sum_cell),
                    _ => lanes(&slots, classic_buckets(native, family), sum_cell),
                })
            }
            (Value::Bucket(bucket), _) => Self::CumulativeBucket {
                count: bucket.count.into(),
                sum: bucket.sum.map(Into::into),
                bounds: layout.buckets() - 1,
            },
        }
    }

    /// Numbers kept for each entry: baselines of a table, amounts of events.
    pub(crate) fn lanes(&self) -> usize {
        match self {
            Self::Cumulative(lanes) => lanes.len(),
            Self::EventObservation { sum, .. } => sum + 1,
            Self::CumulativeBucket { .. } => 2,
            Self::Gauge { .. } | Self::EventAmount(_) => 1,
        }
    }

    /// The readings of a cumulative rule, one a lane; empty for others, which have no baselines.
    pub(crate) fn baseline_readings(&self) -> Vec<Reading> {
        match self {
            Self::Cumulative(lanes) => lanes.iter().map(|lane| lane.reading).collect(),
            Self::CumulativeBucket { count, sum, .. } => vec![*count, sum.unwrap_or(*count)],
            Self::Gauge { .. } | Self::EventAmount(_) | Self::EventObservation { .. } => Vec::new(),
        }
    }

    pub(crate) fn is_gauge(&self) -> bool {
        matches!(self, Self::Gauge { .. })
    }
}

/// One lane for each slot, slot i to the i-th of `cells`, and one for the sum.
fn lanes(slots: &Slots, cells: impl IntoIterator<Item = usize>, sum_cell: usize) -> Vec<Lane> {
    let form = IntegerType::unsigned(slots.size);
    let lane = |(index, cell): (usize, usize)| {
        let reading = Reading { at: slots.offset + index * slots.size, form };
        Lane { reading, cell }
    };
    let sum = slots.sum.map(|number| Lane { reading: number.into(), cell: sum_cell });
    cells.into_iter().enumerate().map(lane).chain(sum).collect()
}
