//! The visitor that encodes a collection in one format, for all scrapes of its group.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use ebhost_handle::{Collection, Demand, FamilyVisitor, NamedFamily, Origin};
use ebhost_metrics::{ChunkSink, Created, Encoder, Integers, Preparations, Presentation, keeping_encoder};
use tracing::{debug, error};

use super::{
    chunks::{BufferPool, ResponseWriter},
    scrapes::{AnswerForm, ScrapeGroup},
};
use ebhost_limits as limits;
use ebhost_telemetry::http;

/// Encodes a collection into an answer.
pub(super) struct EncodeVisitor {
    form: AnswerForm,
    created: Created,
    group: Arc<ScrapeGroup>,
    pool: BufferPool,
    preparations: Arc<Mutex<Preparations>>,
    /// The answer, once the reading has begun.
    writer: Option<ResponseWriter>,
    /// No family of a package is begun after that. Before the reading has begun it is in the past.
    print_until: Instant,
}

impl EncodeVisitor {
    pub(super) fn new(
        form: AnswerForm,
        created: Created,
        group: Arc<ScrapeGroup>,
        pool: BufferPool,
        preparations: Arc<Mutex<Preparations>>,
    ) -> Self {
        Self { form, created, group, pool, preparations, writer: None, print_until: Instant::now() }
    }

    fn encode(&self, collection: &Collection<'_>, out: &mut dyn ChunkSink) -> io::Result<()> {
        let mut preparations = self.preparations.lock().unwrap_or_else(PoisonError::into_inner);
        let AnswerForm { format, encoding } = self.form;
        self.encode_with(collection, keeping_encoder(format, encoding, self.created, &mut preparations, out))
    }

    fn encode_with(&self, collection: &Collection<'_>, mut encoder: Box<dyn Encoder + '_>) -> io::Result<()> {
        let until = self.print_until.max(Instant::now() + limits::LEAST_PRINT);
        for (index, family) in collection.packages.iter().enumerate() {
            if Instant::now() >= until {
                http().families_left_out.add((collection.packages.len() - index) as u64);
                break;
            }
            encoder.family(presentation(family), family.series)?;
        }
        collection.own.encode(self.form.format, &mut *encoder)?;
        encoder.finish()
    }
}

impl FamilyVisitor for EncodeVisitor {
    fn begin(&mut self) -> Option<Demand> {
        let scrapes = self.group.close();
        // The most patient client decides: one that is impatient must not empty the answers of the others.
        let deadline = scrapes.iter().map(|scrape| scrape.deadline).max()?;
        let first_deadline = scrapes.iter().map(|scrape| scrape.deadline).min()?;
        let count = scrapes.len() as u64;
        let reading = deadline.saturating_duration_since(Instant::now());
        self.print_until = deadline + reading.mul_f64(limits::PRINT_SHARE);
        self.writer = Some(self.pool.writer(scrapes.into_iter().map(|scrape| scrape.reader).collect()));
        Some(Demand { deadline, first_deadline, scrapes: count })
    }

    fn visit(&mut self, collection: &Collection<'_>) {
        let Some(mut writer) = self.writer.take() else { return };
        match self.encode(collection, &mut writer) {
            Ok(()) => self.writer = Some(writer),
            Err(fault) if fault.kind() == io::ErrorKind::BrokenPipe => {
                debug!("no client waits for the answer any more");
            }
            Err(fault) => error!("encoding into memory failed: {fault}"),
        }
    }

    fn finish(self: Box<Self>) -> Option<u64> {
        self.writer.map(ResponseWriter::finish)
    }
}

fn presentation<'a>(family: &NamedFamily<'a>) -> Presentation<'a> {
    let integers = match family.origin {
        Origin::Package | Origin::Host => Integers::Exact,
        // Dashboards made for ebpf_exporter have seen whole numbers as Go prints floats.
        Origin::DropIn => Integers::AsGoFloat,
    };
    Presentation { namespace: family.namespace, integers }
}

#[cfg(test)]
mod tests;
