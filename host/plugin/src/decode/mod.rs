//! Batches of entries: what is asked of a guest, the answer after every check, and which entries are at fault when there is none.

mod answer;
mod bisection;
mod request;
mod spans;

pub(crate) use answer::copied_bytes;
pub use answer::{AnswerError, Answers, Row};
pub(crate) use bisection::{Bisection, BisectionHistory, ControlEntry, Part, Step, Verdict};
pub use request::{DecodeError, DecodeRequest, Progress};
pub use spans::{SpanAnswer, SpanLookup, SpanRequest, SpanSchema, SpanSource, UnplacedSpan};
