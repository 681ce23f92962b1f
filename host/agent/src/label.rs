//! Sends unlabelled identities to the plugin in batches, with the names that the host looked up for them, and records the answers.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use super::refusals::Refusals;
use ebhost_limits as limits;
use ebhost_lookup::tables::LookupTable;
use ebhost_lookup::{Found, Lookups, Question, QuestionSet};
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

    fn is_in(&self, questions: &QuestionSet, identity: &[u8]) -> bool {
        questions.contains(self.table, &identity[self.start..self.end])
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
pub(super) fn request_changed(table: &mut Table, view: usize, renamed: &QuestionSet) {
    if renamed.is_empty() {
        return;
    }
    let sites = sites_of(table.schema(), view);
    table.request_again(view, |identity| sites.iter().any(|site| site.is_in(renamed, identity)));
}

/// The rows of the last read whose identities depend on one of these questions.
pub(super) fn rows_about(table: &Table, view: usize, questions: &QuestionSet) -> Vec<usize> {
    let sites = sites_of(table.schema(), view);
    table.rows_with(view, |identity| sites.iter().any(|site| site.is_in(questions, identity)))
}

/// The lookup tables that the views of a package use.
pub(super) fn tables(schema: &Schema) -> impl Iterator<Item = LookupTable> {
    schema.views.iter().flat_map(|view| &view.lookups).filter_map(|lookup| LookupTable::named(&lookup.table))
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

/// Labels the view's unlabelled identities, until all are answered or the budget is spent. Those whose names are not known yet wait for a later
/// scrape, unlabelled, so that nothing is counted under a wrong name.
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
        let (request, ids) = request_for(scrape, view, &ids, &sites, lookups);
        if ids.is_empty() {
            continue;
        }
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

/// The request about those of the identities whose names are known, and these identities.
fn request_for(
    scrape: &Labelling<'_>,
    view: usize,
    ids: &[IdentityId],
    sites: &[LookupSite],
    lookups: &mut Lookups,
) -> (DecodeRequest, Vec<IdentityId>) {
    let identities = Vec::with_capacity(ids.len() * scrape.schema().views[view].identity_size());
    let mut request = DecodeRequest { view, identities, ..DecodeRequest::default() };
    let mut asked = Vec::with_capacity(ids.len());
    let mut names = RequestNames::new(lookups);
    let mut found = Vec::with_capacity(sites.len());
    for id in ids {
        let identity = scrape.identity_bytes(view, *id);
        found.clear();
        found.extend(sites.iter().map_while(|site| names.place(site.question(identity))));
        if found.len() == sites.len() {
            request.identities.extend_from_slice(identity);
            request.found.append(&mut found);
            asked.push(*id);
        }
    }
    request.names = names.into_names();
    request.count = asked.len();
    (request, asked)
}

/// The names of one request, each once.
pub(super) struct RequestNames<'a> {
    lookups: &'a mut Lookups,
    /// `None`: the name is not known yet.
    places: HashMap<Question, Option<u32>>,
    names: Vec<Option<String>>,
}

impl<'a> RequestNames<'a> {
    pub(super) fn new(lookups: &'a mut Lookups) -> Self {
        Self { lookups, places: HashMap::new(), names: Vec::new() }
    }

    /// The name's place in the request. A name that is not known yet is like one that nobody knows: events do not wait for it.
    pub(super) fn place_or_unknown(&mut self, question: Question) -> u32 {
        self.place(question).unwrap_or_else(|| {
            self.names.push(None);
            self.names.len() as u32 - 1
        })
    }

    pub(super) fn into_names(self) -> Vec<Option<String>> {
        self.names
    }

    /// The name's place in the request; `None`: it is not known yet.
    fn place(&mut self, question: Question) -> Option<u32> {
        *self.places.entry(question).or_insert_with_key(|(table, bytes)| {
            let name = match self.lookups.find(*table, bytes) {
                Found::Name(name) | Found::Gone(name) => Some(name),
                Found::Unknown => None,
                Found::NotYet => return None,
            };
            self.names.push(name);
            Some(self.names.len() as u32 - 1)
        })
    }
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
