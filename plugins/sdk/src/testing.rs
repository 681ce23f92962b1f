//! Test harness: runs a plugin natively as the host would run it, `describe` with a configuration and then `decode` with batches of
//! identities. For `cargo test`; needs no kernel, no host and no root.

use std::cell::RefCell;

use crate::Plugin;
use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::columns::Columns;
use crate::component::Instance;
use crate::span_bindings::exports::ebhost::spans::spans;
use crate::spans::Span;

pub use wit::{Batch, Family, Kind, Manifest, Reason, Rows, View};

/// A plugin on which `describe` has been called.
///
/// ```
/// use ebhost_plugin::{Answer, Family, LookupNames, Manifest, Plugin, View, key, member, number, row, testing::Harness};
///
/// struct Queues;
///
/// impl Plugin for Queues {
///     type Config = serde_json::Value;
///
///     fn new(_: serde_json::Value) -> Result<Self, String> {
///         Ok(Queues)
///     }
///
///     fn describe(&self) -> Manifest<Self> {
///         let mut manifest = Manifest::new();
///         let packets = manifest.family(Family::counter("packets_total").help("Packets.").labels(["queue"]));
///         manifest.view(
///             View::table::<u32, u64>("packets").identity(key()).feed(packets, number(member!(u64))).rows(Self::queue),
///         );
///         manifest
///     }
/// }
///
/// impl Queues {
///     fn queue<'a>(&'a self, queue: &'a u32, _: LookupNames<'a, 0>) -> Answer<'a, 1> {
///         row![*queue]
///     }
/// }
///
/// let plugin = Harness::<Queues>::new("{}").unwrap();
/// let rows = plugin.decode(plugin.view("packets"), &[(&[7, 0, 0, 0], &[])]);
/// assert_eq!(rows, [Ok((vec!["7".to_owned()], None))]);
/// ```
pub struct Harness<P> {
    instance: Instance<P>,
    manifest: Manifest,
    answer: RefCell<Columns>,
}

/// The identity bytes of a bank of counts.h that belongs to this key, for [`Harness::decode`]: its check and the key, filled up to whole
/// words. `key` has the key's bytes in C, padding included.
pub fn bank_identity(key: &[u8]) -> Vec<u8> {
    let mut owner = key.to_vec();
    owner.resize(key.len().next_multiple_of(8), 0);
    [&crate::banks::check_of(&owner).to_le_bytes()[..], &owner].concat()
}

/// The result for one entry: its label values (and its bucket index, in a view with [`bucket_rows`](crate::View::bucket_rows)), or the
/// reason why it has no series.
pub type Row = Result<(Vec<String>, Option<u32>), Reason>;

impl<P: Plugin> Harness<P> {
    /// Calls `describe` with a configuration in JSON.
    ///
    /// # Errors
    /// The text with which the host would reject the package.
    pub fn new(config: &str) -> Result<Self, String> {
        let instance = Instance::new();
        let manifest = instance.describe(config)?;
        Ok(Self { instance, manifest, answer: RefCell::default() })
    }

    /// The manifest that the host gets at load.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The family with this name.
    ///
    /// # Panics
    /// If the manifest has none.
    pub fn family(&self, name: &str) -> &Family {
        self.manifest.families.iter().find(|family| family.name == name).expect("no such family in the manifest")
    }

    /// The index of the first view that reads this source.
    ///
    /// # Panics
    /// If the manifest has none.
    pub fn view(&self, source: &str) -> u32 {
        self.manifest.views.iter().position(|view| view.source == source).expect("no such view in the manifest") as u32
    }

    /// Decodes entries of a view. Each entry is given by its identity bytes, field after field without padding, and the names found
    /// for the view's lookups.
    ///
    /// # Panics
    /// If the columns of the answer are too short; the host would discard such an answer.
    pub fn decode(&self, view: u32, entries: &[(&[u8], &[Option<&str>])]) -> Vec<Row> {
        let names = entries.iter().flat_map(|(_, names)| names.iter().map(|name| name.map(str::to_owned)));
        let names: Vec<_> = names.collect();
        let batch = Batch {
            view,
            count: entries.len() as u32,
            identities: entries.iter().flat_map(|(identity, _)| identity.iter().copied()).collect(),
            found: (0..names.len() as u32).collect(),
            names,
        };
        let rows = self.decode_batch(&batch);
        (0..entries.len()).map(|entry| self.row(view, &rows, entry)).collect()
    }

    /// Decodes a batch in the form that the contract defines.
    pub fn decode_batch(&self, batch: &Batch) -> Rows {
        let mut answer = self.answer.borrow_mut();
        answer.clear_for(batch);
        self.instance.decode(batch, &mut answer);
        answer.rows()
    }

    /// Makes spans of events of a source, counted from 0, each with the names found for its lookups.
    ///
    /// # Errors
    /// The texts for events that the plugin does not understand.
    pub fn spans(&self, source: u32, events: &[(&[u8], &[Option<&str>])]) -> Result<Vec<Span>, Vec<String>> {
        let names: Vec<_> =
            events.iter().flat_map(|(_, names)| names.iter().map(|name| name.map(str::to_owned))).collect();
        let answer = self.instance.decode_spans(&spans::Batch {
            source,
            lengths: events.iter().map(|(event, _)| event.len() as u32).collect(),
            events: events.iter().flat_map(|(event, _)| event.iter().copied()).collect(),
            found: (0..names.len() as u32).collect(),
            names,
        });
        let spans::Answer { spans, unknown } = answer;
        if unknown.is_empty() { Ok(spans.into_iter().map(Span).collect()) } else { Err(unknown) }
    }

    fn row(&self, view: u32, rows: &Rows, entry: usize) -> Row {
        if let Some(refusal) = rows.refused.iter().find(|refusal| refusal.entry as usize == entry) {
            return Err(refusal.why.clone());
        }
        let columns = self.manifest.views[view as usize].columns as usize;
        let indices = &rows.labels[entry * columns..][..columns];
        let labels = indices.iter().map(|index| rows.dictionary[*index as usize].clone()).collect();
        Ok((labels, rows.buckets.get(entry).copied()))
    }
}
