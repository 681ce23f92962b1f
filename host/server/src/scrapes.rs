//! Scrapes: requests for all metrics in one format.
//!
//! Scrapes of the same format and compression that wait when a reading of the kernel begins share the reading and the encoding. The first of them
//! queues a [`FamilyVisitor`] for the agent, and the others join its group until the reading begins.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use ebhost_handle::{Handle, HandleError};
use ebhost_metrics::{Created, Encoding, Format, PreparationLimits, Preparations};
use tokio::sync::mpsc::unbounded_channel;

use super::{
    chunks::{BodyChunks, BufferPool, ChunkReader},
    encoding::EncodeVisitor,
    unsent::{Reader, UnsentBytes},
};
use ebhost_limits as limits;
use ebhost_telemetry::http;

/// The scrapes that wait for the agent, and what their answers share.
#[derive(Clone)]
pub(super) struct Scrapes {
    handle: Handle,
    /// The groups that can still be joined. Each belongs to the visitor that will answer it.
    groups: Arc<Mutex<HashMap<AnswerForm, Weak<ScrapeGroup>>>>,
    created: Created,
    pool: BufferPool,
    preparations: Arc<Mutex<Preparations>>,
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct AnswerForm {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
}

/// Scrapes that one visitor answers.
#[derive(Debug)]
pub(super) struct ScrapeGroup {
    /// `None` once the reading has begun.
    waiting: Mutex<Option<Vec<Scrape>>>,
}

/// A scrape that waits for its answer.
#[derive(Debug)]
pub(super) struct Scrape {
    /// When the answer is of no use any more.
    pub(super) deadline: Instant,
    pub(super) reader: ChunkReader,
}

impl Scrapes {
    pub(super) fn new(handle: Handle, created: Created) -> Self {
        let limits = PreparationLimits {
            bytes: limits::PREPARED_BYTES,
            lines_per_answer: limits::PREPARED_LINES_PER_ANSWER,
            text_bytes: limits::PREPARED_TEXT_BYTES,
            printed_bytes: limits::PRINTED_BYTES,
        };
        let preparations = Arc::new(Mutex::new(Preparations::new(limits)));
        Self { handle, groups: Arc::default(), created, pool: BufferPool::default(), preparations }
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The bytes of all answers that clients have not taken yet.
    pub(super) fn unsent(&self) -> &UnsentBytes {
        self.pool.unsent()
    }

    /// Asks for all metrics in this form, for `client`.
    ///
    /// # Errors
    /// [`HandleError`] if the agent's queue is full or the agent has stopped.
    pub(super) fn request(
        &self,
        form: AnswerForm,
        deadline: Instant,
        client: Reader,
    ) -> Result<BodyChunks, HandleError> {
        let (sender, chunks) = unbounded_channel();
        let reader = ChunkReader { chunks: sender, client };
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let scrape = match groups.get(&form).and_then(Weak::upgrade) {
            Some(group) => match group.join(Scrape { deadline, reader }) {
                Ok(()) => return Ok(chunks),
                Err(scrape) => scrape,
            },
            None => Scrape { deadline, reader },
        };
        let group = Arc::new(ScrapeGroup { waiting: Mutex::new(Some(vec![scrape])) });
        groups.insert(form, Arc::downgrade(&group));
        let visitor = EncodeVisitor::new(form, self.created, group, self.pool.clone(), self.preparations.clone());
        self.handle.visit(Box::new(visitor))?;
        Ok(chunks)
    }
}

impl ScrapeGroup {
    /// Adds a scrape; gives it back if the reading has begun.
    fn join(&self, scrape: Scrape) -> Result<(), Scrape> {
        match &mut *self.waiting() {
            Some(waiting) => {
                // Clients that connect and go away while the agent is busy must not pile up.
                if waiting.len() >= 2 * limits::SCRAPES_IN_FLIGHT {
                    drop_abandoned(waiting);
                }
                waiting.push(scrape);
                Ok(())
            }
            None => Err(scrape),
        }
    }

    /// Closes the group and returns the scrapes whose clients still wait.
    pub(super) fn close(&self) -> Vec<Scrape> {
        let mut scrapes = self.waiting().take().unwrap_or_default();
        drop_abandoned(&mut scrapes);
        scrapes
    }

    fn waiting(&self) -> MutexGuard<'_, Option<Vec<Scrape>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops the scrapes whose clients went away.
fn drop_abandoned(waiting: &mut Vec<Scrape>) {
    let before = waiting.len();
    waiting.retain(|scrape| !scrape.reader.chunks.is_closed());
    http().abandoned.add((before - waiting.len()) as u64);
}
