//! Sends unlabelled identities to the plugin in batches, with the names that the host looked up for them, and records the answers.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::refusals::Refusals;
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;
use ebhost_lookup::{Lookups, Question};
use ebhost_plugin_host::{Answers, DecodeError, DecodeRequest, Plugin, Progress, Row};
use ebhost_series::{
    Answer, IdentityId, Labelling, Labels, Table,
    schema::{Schema, View},
};

/// The identity bytes that a lookup uses, and the table that they are looked up in.
struct LookupSite {
    table: LookupTable,
    start: usize,
    end: usize,
}

impl LookupSite {
    fn question(&self, identity: &[u8]) -> Question {
        (self.table, identity[self.start..self.end].into())
    }
}

fn sites(view: &View) -> Vec<LookupSite> {
    let starts: Vec<_> = view
        .identity
        .iter()
        .scan(0, |at, field| {
            let start = *at;
            *at += field.length;
            Some((start, *at))
        })
        .collect();
    let site = |lookup: &ebhost_series::schema::Lookup| {
        let (start, end) = starts[lookup.field];
        Some(LookupSite { table: LookupTable::named(&lookup.table)?, start, end })
    };
    view.lookups.iter().filter_map(site).collect()
}

fn sites_of(schema: &Schema, view: usize) -> Vec<LookupSite> {
    sites(&schema.views[view])
}

/// Requests new answers for the identities whose looked-up names have changed.
pub(super) fn request_changed(table: &mut Table, view: usize, changed: &HashSet<Question>) {
    if changed.is_empty() {
        return;
    }
    let sites = sites_of(table.schema(), view);
    table.request_again(view, |identity| sites.iter().any(|site| changed.contains(&site.question(identity))));
}

/// Every lookup that the view's identities need.
pub(super) fn questions(table: &Table, view: usize) -> Vec<Question> {
    let sites = sites_of(table.schema(), view);
    table.identities(view).flat_map(|identity| sites.iter().map(|site| site.question(identity))).collect()
}

/// The guest time of one package in one scrape.
#[derive(Debug, Clone, Copy)]
pub(super) struct GuestBudget {
    /// The plugin's total guest time at which it is spent.
    pub(super) guest_end: Duration,
    /// No call begins, and no instance is started, after this.
    pub(super) until: Instant,
}

/// Labels the view's unlabelled identities, until all are answered or the budget is spent.
pub(super) fn label(
    plugin: &mut Plugin,
    scrape: &mut Labelling<'_>,
    view: usize,
    lookups: &mut Lookups,
    refusals: &mut Refusals,
    budget: GuestBudget,
) {
    let count = scrape.unlabelled(view).len();
    if count == 0 {
        return;
    }
    let sites = sites_of(scrape.schema(), view);
    let identity_size = scrape.schema().views[view].identity_size();
    let most = limits::BATCH_ENTRIES.min(limits::BATCH_BYTES / identity_size.max(1)).max(1);
    for first in (0..count).step_by(most) {
        // Answered identities stay listed.
        let ids = scrape.unlabelled(view)[first..count.min(first + most)].to_vec();
        let request = request_for(scrape, view, &ids, &sites, lookups);
        let guest_time = budget.guest_end.saturating_sub(plugin.tally().guest_time);
        let until = budget.until.min(Instant::now() + guest_time);
        let progress = plugin.decode(&request, until, &mut |first, answers| {
            take(scrape, view, &ids[first..], answers, refusals, budget);
        });
        if progress == Progress::Deferred {
            return;
        }
    }
}

/// Answers that are recorded before the time is looked at again. An answer of long labels for hundreds of feeds takes milliseconds.
const TAKEN_AT_ONCE: usize = 8;

fn request_for(
    scrape: &Labelling<'_>,
    view: usize,
    ids: &[IdentityId],
    sites: &[LookupSite],
    lookups: &mut Lookups,
) -> DecodeRequest {
    let identities = Vec::with_capacity(ids.len() * scrape.schema().views[view].identity_size());
    let mut request = DecodeRequest { view, count: ids.len(), identities, ..DecodeRequest::default() };
    let mut places: HashMap<Question, u32> = HashMap::new();
    for id in ids {
        let identity = scrape.identity_bytes(view, *id);
        request.identities.extend_from_slice(identity);
        for site in sites {
            let place = *places.entry(site.question(identity)).or_insert_with_key(|(table, bytes)| {
                request.names.push(lookups.find(*table, bytes));
                request.names.len() as u32 - 1
            });
            request.found.push(place);
        }
    }
    request
}

fn take(
    scrape: &mut Labelling<'_>,
    view: usize,
    ids: &[IdentityId],
    answers: Result<&Answers, &DecodeError>,
    refusals: &mut Refusals,
    budget: GuestBudget,
) {
    let Ok(answers) = answers else {
        refusals.note_set_aside(view, scrape.identity_bytes(view, ids[0]), Instant::now());
        scrape.answer(view, ids[0], Answer::Unknown);
        return;
    };
    for (entry, id) in ids.iter().take(answers.count()).enumerate() {
        if entry % TAKEN_AT_ONCE == TAKEN_AT_ONCE - 1 && Instant::now() >= budget.until {
            return; // the others are asked about in the next scrape
        }
        let answer = match answers.row(entry) {
            Row::Labels { columns, bucket } => {
                Answer::Series { labels: Labels::Listed(answers.values(), columns), bucket }
            }
            Row::Skip => Answer::Skip,
            Row::Unknown { why } | Row::Unsound { why } => {
                refusals.note_not_understood(why);
                Answer::Unknown
            }
        };
        scrape.answer(view, *id, answer);
    }
}
