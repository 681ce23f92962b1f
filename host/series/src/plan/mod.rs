//! A view compiled for counting: which numbers to read from each value, and which cells they go to.

pub(crate) mod layout;
pub(crate) mod reading;
mod rule;
mod thresholds;

use ebhost_metrics::Layout;

pub(crate) use self::rule::{Lane, ValueRule};
use crate::labels::identities::Sharing;
use crate::labels::template::LabelTemplate;
use crate::schema::{Feed, Field, LabelSource, Part, Schema, View};

/// A view of the schema, ready to be counted.
#[derive(Debug)]
pub(crate) struct ViewPlan {
    pub(crate) identity: Vec<Field>,
    pub(crate) identity_size: usize,
    /// Whether a row's identity is exactly its key.
    pub(crate) identity_is_key: bool,
    /// Whether a row's identity can change while its key stays.
    pub(crate) identity_in_value: bool,
    /// 0: the rows are events.
    pub(crate) key_size: usize,
    pub(crate) columns: usize,
    pub(crate) has_buckets: bool,
    pub(crate) feeds: Vec<FeedPlan>,
}

/// One feed of a view: an entry's contribution to one family.
#[derive(Debug)]
pub(crate) struct FeedPlan {
    /// Index in [`Schema::families`].
    pub(crate) family: usize,
    pub(crate) template: LabelTemplate,
    /// Whether the CPU's number is a label: then each CPU has a series of its own, otherwise CPUs are summed.
    pub(crate) by_cpu: bool,
    pub(crate) rule: ValueRule,
    pub(crate) decrease: Decrease,
}

/// The meaning of a number below its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decrease {
    /// A counter reset: the entry began again at 0, so all of it is increase.
    #[default]
    Reset,
    /// The program set it: the series falls with it, as ebpf_exporter shows it. What entries that are gone had counted stays.
    Set,
}

impl ViewPlan {
    pub(crate) fn new(schema: &Schema, view: &View, layouts: &[Layout], label_bytes: usize) -> Self {
        let feed_plan = |feed: &Feed| {
            let family = &schema.families[feed.family];
            FeedPlan {
                family: feed.family,
                template: LabelTemplate::new(family, feed, label_bytes),
                by_cpu: feed.labels.contains(&LabelSource::Cpu),
                rule: ValueRule::new(view, feed, family, &layouts[feed.family]),
                decrease: Decrease::Reset,
            }
        };
        Self {
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

    pub(crate) fn is_events(&self) -> bool {
        self.key_size == 0
    }

    /// Whether any feed has a series for each CPU.
    pub(crate) fn by_cpu(&self) -> bool {
        self.feeds.iter().any(|feed| feed.by_cpu)
    }

    /// Whether two entries can have the same identity: not if it contains every byte of the key.
    pub(crate) fn sharing(&self) -> Sharing {
        let is_in_identity = |byte: usize| {
            let contains = |field: &Field| (field.offset..field.offset + field.length).contains(&byte);
            self.identity.iter().any(|field| field.part == Part::Key && contains(field))
        };
        let is_unique = !self.is_events() && (0..self.key_size).all(is_in_identity);
        if is_unique { Sharing::OneEach } else { Sharing::Shared }
    }

    /// Whether every feed has the bucket that an answer names.
    pub(crate) fn has_bucket(&self, bucket: u32) -> bool {
        self.feeds.iter().all(|feed| match &feed.rule {
            ValueRule::CumulativeBucket { sum, bounds, .. } => bucket as usize <= bounds + usize::from(sum.is_some()),
            _ => true,
        })
    }
}

impl FeedPlan {
    /// Series that one identity feeds: one, or one for each CPU.
    pub(crate) fn series_per_identity(&self, cpus: usize) -> usize {
        if self.by_cpu { cpus } else { 1 }
    }

    /// Baselines that one entry of a table has.
    pub(crate) fn baselines_per_entry(&self, cpus: usize) -> usize {
        self.series_per_identity(cpus) * self.rule.lanes()
    }
}
