//! A view made ready for counting: what to take out of each value and which cells it goes to.

use super::identities::Sharing;
use super::labels::Template;
use super::layout::classic_buckets;
use super::number::{Form, Reading};
use super::schema::{Feed, Field, LabelSource, Part, Schema, Slots, Value, View};
use ebhost_metrics::Layout;
use ebhost_metrics::scale::Scale;
use ebhost_metrics::{Family, Fold, Kind};

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) identity: Vec<Field>,
    pub(super) identity_size: usize,
    /// Whether a row's identity is its key as it is.
    pub(super) identity_is_key: bool,
    /// Whether a row's identity can change while its key stays.
    pub(super) identity_in_value: bool,
    /// 0: events.
    pub(super) key_size: usize,
    pub(super) columns: usize,
    pub(super) has_buckets: bool,
    pub(super) feeds: Vec<FeedPlan>,
}

#[derive(Debug)]
pub(super) struct FeedPlan {
    pub(super) family: usize,
    pub(super) template: Template,
    /// The same with its CPUs apart: one series each.
    pub(super) by_cpu: bool,
    pub(super) take: Take,
}

/// What one value gives to one feed.
#[derive(Debug)]
pub(super) enum Take {
    /// Totals so far; each adds its increase to its cell.
    Totals(Vec<Lane>),
    /// One total: the count for the bucket that the answer names, or the sum.
    Bucket { count: Reading, sum: Option<Reading>, bounds: usize },
    /// The present value; none: 1.
    Present { reading: Option<Reading>, fold: Fold },
    /// An event's amount; none: 1.
    Amount(Option<Reading>),
    /// An event's observation: into the bucket of the first threshold that is not below it, and into the sum.
    Observed { reading: Reading, thresholds: Vec<Threshold>, sum: usize },
}

/// A number of the value and its cell within a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) reading: Reading,
    pub(super) cell: usize,
}

/// The greatest raw number in a bucket; `None` where even 0 is above the bound.
pub(super) type Threshold = Option<u64>;

impl Plan {
    pub(super) fn new(schema: &Schema, view: &View, layouts: &[Layout], label_bytes: usize) -> Self {
        let feed_plan = |feed: &Feed| {
            let family = &schema.families[feed.family];
            FeedPlan {
                family: feed.family,
                template: Template::new(family, feed, label_bytes),
                by_cpu: feed.labels.contains(&LabelSource::Cpu),
                take: Take::new(view, feed, family, &layouts[feed.family]),
            }
        };
        Plan {
            identity: view.identity.clone(),
            identity_size: view.identity_size(),
            identity_is_key: view.identity == [Field { part: Part::Key, offset: 0, length: view.key_size }],
            identity_in_value: view.identity.iter().any(|field| field.part == Part::Value),
            key_size: view.key_size,
            columns: view.columns,
            has_buckets: view.has_buckets(),
            feeds: view.feeds.iter().map(feed_plan).collect(),
        }
    }

    pub(super) fn is_events(&self) -> bool {
        self.key_size == 0
    }

    pub(super) fn by_cpu(&self) -> bool {
        self.feeds.iter().any(|feed| feed.by_cpu)
    }

    /// Whether two entries can have one identity: not if it holds every byte of the key.
    pub(super) fn sharing(&self) -> Sharing {
        let holds = |byte: usize| {
            let within = |field: &Field| (field.offset..field.offset + field.length).contains(&byte);
            self.identity.iter().any(|field| field.part == Part::Key && within(field))
        };
        if !self.is_events() && (0..self.key_size).all(holds) { Sharing::OneEach } else { Sharing::Shared }
    }

    /// Whether `bucket` is one that every feed knows.
    pub(super) fn takes_bucket(&self, bucket: u32) -> bool {
        self.feeds.iter().all(|feed| match &feed.take {
            Take::Bucket { sum, bounds, .. } => bucket as usize <= bounds + usize::from(sum.is_some()),
            _ => true,
        })
    }
}

impl FeedPlan {
    /// Series of one identity: one for each of so many CPUs, where they are apart.
    pub(super) fn apart(&self, cpus: usize) -> usize {
        if self.by_cpu { cpus } else { 1 }
    }
}

impl Take {
    fn new(view: &View, feed: &Feed, family: &Family, layout: &Layout) -> Self {
        let sum_cell = layout.sum().unwrap_or_default();
        match (&feed.value, &family.kind) {
            (Value::One, Kind::Gauge(fold)) => Take::Present { reading: None, fold: *fold },
            (Value::One, _) => Take::Amount(None),
            (Value::Number(number), Kind::Gauge(fold)) => {
                Take::Present { reading: Some((*number).into()), fold: *fold }
            }
            (Value::Number(number), _) if view.is_events() => Take::Amount(Some((*number).into())),
            (Value::Number(number), _) => Take::Totals(vec![Lane { reading: (*number).into(), cell: 0 }]),
            (Value::Observation(number), kind) => {
                let scale = Scale::new(family.times, family.per);
                let bounds: &[f64] = if let Kind::Histogram(bounds) = kind { bounds } else { &[] };
                let thresholds = bounds.iter().map(|&bound| scale.greatest_within(bound)).collect();
                Take::Observed { reading: (*number).into(), thresholds, sum: sum_cell }
            }
            (Value::Slots(slots), _) => {
                let cells = 0..layout.buckets();
                Take::Totals(lanes(slots, cells, sum_cell))
            }
            (Value::NativeSlots(native), _) => {
                let slots = Slots { offset: native.offset, size: 8, sum: native.sum };
                Take::Totals(match layout {
                    Layout::Native { count, .. } => lanes(&slots, 0..count + 2, sum_cell),
                    _ => lanes(&slots, classic_buckets(native, family), sum_cell),
                })
            }
            (Value::Bucket(bucket), _) => Take::Bucket {
                count: bucket.count.into(),
                sum: bucket.sum.map(Into::into),
                bounds: layout.buckets() - 1,
            },
        }
    }

    /// Raw numbers that are kept for each entry.
    pub(super) fn lanes(&self) -> usize {
        match self {
            Take::Totals(lanes) => lanes.len(),
            Take::Observed { sum, .. } => sum + 1,
            Take::Bucket { .. } => 2,
            Take::Present { .. } | Take::Amount(_) => 1,
        }
    }
}

/// One lane a slot, slot i to the i-th of `cells`, and one for the sum.
fn lanes(slots: &Slots, cells: impl IntoIterator<Item = usize>, sum_cell: usize) -> Vec<Lane> {
    let form = Form::unsigned(slots.size);
    let slot = |(index, cell): (usize, usize)| {
        let reading = Reading { at: slots.offset + index * slots.size, form };
        Lane { reading, cell }
    };
    let sum = slots.sum.map(|number| Lane { reading: number.into(), cell: sum_cell });
    cells.into_iter().enumerate().map(slot).chain(sum).collect()
}
