//! Runs a plugin as the host would, natively: `describe` with a configuration, then batches of identities in columns.
//! For `cargo test`; no kernel, no host, no root.

use std::cell::RefCell;

use crate::Plugin;
use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::columns::Columns;
use crate::component::Instance;

pub use wit::{Batch, Family, Kind, Manifest, Reason, Rows, View};

/// A plugin that has been described.
pub struct Harness<P> {
    instance: Instance<P>,
    manifest: Manifest,
    answer: RefCell<Columns>,
}

/// Of one entry: its label values (and its bucket number, in a view of buckets), or why it has none.
pub type Row = Result<(Vec<String>, Option<u32>), Reason>;

impl<P: Plugin> Harness<P> {
    /// Describes it with a configuration in JSON.
    ///
    /// # Errors
    /// The text that would refuse the package.
    pub fn new(config: &str) -> Result<Self, String> {
        let instance = Instance::new();
        let manifest = instance.describe(config)?;
        Ok(Self { instance, manifest, answer: RefCell::default() })
    }

    /// What the host sees at load.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// A family by name; panics when there is none.
    pub fn family(&self, name: &str) -> &Family {
        self.manifest.families.iter().find(|family| family.name == name).expect("no such family in the manifest")
    }

    /// The place of the (first) view of a source; panics when there is none.
    pub fn view(&self, source: &str) -> u32 {
        self.manifest.views.iter().position(|view| view.source == source).expect("no such view in the manifest") as u32
    }

    /// Decodes entries of a view, given by identity bytes (fields back to back) and the names found for its lookups.
    /// Panics when the rows have a wrong shape, as the host would refuse them.
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

    /// Decodes a batch in the contract's own form.
    pub fn decode_batch(&self, batch: &Batch) -> Rows {
        let mut answer = self.answer.borrow_mut();
        answer.begin(batch);
        self.instance.decode(batch, &mut answer);
        answer.rows()
    }

    fn row(&self, view: u32, rows: &Rows, entry: usize) -> Row {
        if let Some(refusal) = rows.refused.iter().find(|refusal| refusal.entry as usize == entry) {
            return Err(refusal.why.clone());
        }
        let columns = self.manifest.views[view as usize].columns as usize;
        let places = &rows.labels[entry * columns..][..columns];
        let labels = places.iter().map(|place| rows.dictionary[*place as usize].clone()).collect();
        Ok((labels, rows.buckets.get(entry).copied()))
    }
}
