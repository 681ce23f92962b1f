//! A table that replaces another continues its counters.
//!
//! Cells carry over by (family name, label block) where the families count alike; baselines by (source, key, number); amounts of
//! events by (source, identity). So no counter decreases except by a reset to 0.

use std::sync::Arc;

use ebhost_metrics::{Family, Kind};

use super::limits::reserved_bytes;
use super::{Table, TableLimits};
use crate::schema::Schema;
use crate::views::View;
use crate::views::events::EventView;
use crate::views::predecessor::{Predecessor, PreviousView};
use crate::views::table::TableView;

/// Scrapes for which an inherited series stays although nothing feeds it yet: a plugin answers for a million identities within a few.
const INHERITED_SCRAPES: u32 = 8;

/// The previous table's views of one source.
struct PreviousSource {
    source: String,
    key_size: usize,
    views: Vec<Arc<PreviousView>>,
}

impl Table {
    /// Takes over a schema that differs from the present one in texts alone, and other limits, in place. Every identity is asked about
    /// again, for the component may answer differently. Gives the schema back if it [counts differently](Schema::counts_like).
    ///
    /// # Errors
    /// The schema, if this table cannot take it over.
    pub fn update(&mut self, schema: Arc<Schema>, limits: TableLimits) -> Result<(), Arc<Schema>> {
        if !schema.counts_like(&self.schema) {
            return Err(schema);
        }
        let layouts: Vec<_> = self.store.tables.iter().map(|table| table.layout.clone()).collect();
        self.store.set_limits(limits, reserved_bytes(&schema, &layouts, &limits));
        self.schema = schema;
        self.limits = limits;
        for view in &mut self.views {
            view.labels_mut().identities.request_again(|_| true);
        }
        Ok(())
    }

    /// Continues the counters of the table that this new one replaces, whose sources stay.
    ///
    /// - A family with the same name, kind, labels, scale and layout keeps its series: each stays as it is until an identity feeds it
    ///   again, or ends when all have been answered and none does.
    /// - An entry continues from the baselines at which it was last counted.
    /// - A family whose cells cannot be kept begins at 0; what its entries counted before is not counted again.
    /// - A new family counts from 0, as new entries do.
    pub fn inherit(&mut self, previous: Table) {
        self.previous_tallies = previous.tallies();
        self.scrape = previous.scrape;
        self.store.since = previous.store.since;
        let Table { schema, store, views, .. } = previous;
        let (event_views, sources) = take_apart(&schema, views);
        for (view, index) in self.views.iter_mut().zip(0..) {
            match view {
                View::Table(view) => inherit_table(view, &self.schema, index, &schema, &sources),
                View::Events(view) => inherit_events(view, &self.schema, index, &schema, &event_views),
            }
        }
        let layouts = |family: usize, before: usize| self.store.tables[family].layout == store.tables[before].layout;
        let origins: Vec<Option<usize>> = self
            .schema
            .families
            .iter()
            .enumerate()
            .map(|(index, family)| {
                let before = schema.families.iter().position(|before| before.name == family.name)?;
                (is_continued(family, &schema.families[before]) && layouts(index, before)).then_some(before)
            })
            .collect();
        self.store.inherit(store, |family| origins[family]);
        self.measure_memory();
        self.inherited_scrapes = INHERITED_SCRAPES;
    }

    /// Continues the tallies of a table with another package version's sources, of which nothing else is left.
    pub fn inherit_tallies(&mut self, previous: &Table) {
        self.previous_tallies = previous.tallies();
    }

    /// Ends inherited series that nothing feeds, once every entry and label that could feed them was found again.
    pub(super) fn release_inherited(&mut self) {
        if self.inherited_scrapes == 0 {
            return;
        }
        self.inherited_scrapes -= 1;
        if self.inherited_scrapes == 0 || !self.views.iter().any(View::is_settling) {
            self.inherited_scrapes = 0;
            self.store.release_inherited();
        }
    }
}

/// Whether the cells of a family can be continued by one of the same name and layout.
fn is_continued(family: &Family, before: &Family) -> bool {
    // Gauges are folded from entries that are there. They have nothing to continue.
    !matches!(family.kind, Kind::Gauge(_))
        && family.kind == before.kind
        && family.labels == before.labels
        && family.times == before.times
        && family.per == before.per
}

fn take_apart(schema: &Schema, views: Vec<View>) -> (Vec<(usize, EventView)>, Vec<PreviousSource>) {
    let (mut events, mut sources) = (Vec::new(), Vec::<PreviousSource>::new());
    for (index, view) in views.into_iter().enumerate() {
        let plan = &schema.views[index];
        match view {
            View::Events(view) => events.push((index, view)),
            View::Table(view) => {
                let views = PreviousView::from_parts(view.into_parts());
                let same = |one: &&mut PreviousSource| one.source == plan.source && one.key_size == plan.key_size;
                match sources.iter_mut().find(same) {
                    Some(source) => source.views.extend(views),
                    None => {
                        sources.push(PreviousSource { source: plan.source.clone(), key_size: plan.key_size, views });
                    }
                }
            }
        }
    }
    (events, sources)
}

fn inherit_table(view: &mut TableView, schema: &Schema, index: usize, before: &Schema, sources: &[PreviousSource]) {
    let description = &schema.views[index];
    let same = |one: &&PreviousSource| one.source == description.source && one.key_size == description.key_size;
    let Some(source) = sources.iter().find(same) else { return };
    let existed = |family: usize| before.families.iter().any(|before| before.name == schema.families[family].name);
    let family_existed = view.plan.feeds.iter().map(|feed| existed(feed.family)).collect();
    view.inherit(Predecessor::new(source.views.clone(), family_existed));
}

fn inherit_events(
    view: &mut EventView,
    schema: &Schema,
    index: usize,
    before: &Schema,
    previous: &[(usize, EventView)],
) {
    let source = &schema.views[index].source;
    for (at, previous) in previous {
        let is_same = before.views[*at].source == *source
            && view.plan.identity == previous.plan.identity
            && view.plan.by_cpu() == previous.plan.by_cpu();
        if !is_same {
            continue;
        }
        let name = |family: usize| &schema.families[family].name;
        let origin = |feed: &crate::plan::FeedPlan| {
            previous.plan.feeds.iter().position(|other| {
                before.families[other.family].name == *name(feed.family)
                    && other.by_cpu == feed.by_cpu
                    && other.rule == feed.rule
            })
        };
        let origins: Vec<_> = view.plan.feeds.iter().map(origin).collect();
        view.inherit(previous, &origins);
    }
}
