//! The inputs of labels in a batch: which bytes of an identity, and which of the names that the host looked up.

use ebhost_plugin::exported::Dictionary;
use ebhost_plugin::exported::bindings::exports::ebhost::plugin::decoder as wit;

use crate::label::Label;
use crate::lookup::Found;

/// Where the inputs of a view's labels lie in each entry of a batch.
pub(crate) struct Layout {
    /// Size of an identity, in bytes.
    identity: usize,
    /// Names of an entry.
    names: usize,
    inputs: Vec<LabelInput>,
}

/// Where the input of one label lies in an entry.
#[derive(Clone, Copy)]
struct LabelInput {
    /// Offset and size of the label's bytes in an identity.
    offset: usize,
    size: usize,
    /// Which of an entry's names are the label's: the first one and their number.
    first_name: usize,
    own_names: usize,
}

impl Layout {
    /// Labels whose bytes follow each other, without padding.
    pub(crate) fn packed<'l>(labels: impl Iterator<Item = &'l Label>) -> Self {
        let mut layout = Self { identity: 0, names: 0, inputs: Vec::new() };
        for label in labels {
            layout.push(layout.identity, label);
            layout.identity += label.identity_bytes() as usize;
        }
        layout
    }

    /// Labels that lie anywhere in an identity of this size, each with its offset; their names are in the order of the labels.
    pub(crate) fn placed<'l>(identity: usize, labels: impl Iterator<Item = (usize, &'l Label)>) -> Self {
        let mut layout = Self { identity, names: 0, inputs: Vec::new() };
        labels.for_each(|(offset, label)| layout.push(offset, label));
        layout
    }

    fn push(&mut self, offset: usize, label: &Label) {
        let own_names = label.tables().count();
        self.inputs.push(LabelInput { offset, size: label.size as usize, first_name: self.names, own_names });
        self.names += own_names;
    }

    /// The identities of a batch.
    pub(crate) fn identities<'a>(&self, batch: &'a wit::Batch) -> impl Iterator<Item = &'a [u8]> {
        batch.identities.chunks_exact(self.identity)
    }

    /// The input of the label with this index.
    pub(crate) fn column<'a>(&self, batch: &'a wit::Batch, label: usize) -> InputColumn<'a> {
        InputColumn { batch, identity: self.identity, names: self.names, input: self.inputs[label] }
    }
}

/// The input of one label: its bytes in all identities of a batch, and the names that were looked up for it.
pub(crate) struct InputColumn<'a> {
    batch: &'a wit::Batch,
    identity: usize,
    names: usize,
    input: LabelInput,
}

impl<'a> InputColumn<'a> {
    /// The identities, each from the label's bytes on.
    fn identities(&self) -> impl Iterator<Item = &'a [u8]> {
        let offset = self.input.offset;
        self.batch.identities.chunks_exact(self.identity).map(move |identity| &identity[offset..])
    }

    pub(crate) fn bytes(&self) -> impl Iterator<Item = &'a [u8]> {
        let size = self.input.size;
        self.identities().map(move |identity| &identity[..size])
    }

    /// The index among the batch's names of the name that the host looked up for an entry.
    pub(crate) fn index_of_name(&self, entry: usize) -> Option<u32> {
        self.indices_of_names(entry).first().copied()
    }

    /// The names that the host looked up for an entry.
    pub(crate) fn found(&self, entry: usize) -> Found<'a> {
        let batch = self.batch;
        let mut names = self.indices_of_names(entry).iter().map(|index| batch.names[*index as usize].as_deref());
        Found { name: names.next().flatten(), second: names.next().flatten() }
    }

    fn indices_of_names(&self, entry: usize) -> &'a [u32] {
        match self.input.own_names {
            0 => &[],
            own => &self.batch.found[entry * self.names + self.input.first_name..][..own],
        }
    }

    /// Fast path for labels that are just numbers in decimal digits.
    pub(crate) fn numbers<'p>(&self, dictionary: &mut Dictionary, output: impl Iterator<Item = &'p mut u32>) {
        match self.input.size {
            1 => self.numbers_with(|[byte]: [u8; 1]| byte.into(), dictionary, output),
            2 => self.numbers_with(|bytes| u16::from_le_bytes(bytes).into(), dictionary, output),
            4 => self.numbers_with(|bytes| u32::from_le_bytes(bytes).into(), dictionary, output),
            _ => self.numbers_with(u64::from_le_bytes, dictionary, output),
        }
    }

    #[inline(always)]
    fn numbers_with<'p, const WIDTH: usize>(
        &self,
        parse: impl Fn([u8; WIDTH]) -> u64,
        dictionary: &mut Dictionary,
        output: impl Iterator<Item = &'p mut u32>,
    ) {
        for (bytes, index) in self.identities().zip(output) {
            let bytes = bytes.first_chunk().expect("the label's size was checked");
            *index = dictionary.unsigned(parse(*bytes));
        }
    }
}
