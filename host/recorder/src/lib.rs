//! The flight recorder, and the stream that feeds the live page.
//!
//! Both are one sink. While somebody looks, or a window is to be kept, the [`Feed`] asks for a collection once a second and writes the
//! cells that changed since the last one as a *frame*. A viewer receives the frames as they are made; the window keeps those of the last
//! minutes, compressed, in bounded memory; a dump is a file of them. Stream and file are one format (`docs/flight-recorder.md`), so
//! that the page has one reader for both.
//!
//! | module | does |
//! |---|---|
//! | `wire` | numbers and blocks: how bytes of the format are written |
//! | `frames`, `changes` | the parts of a frame |
//! | `encode` | a collection and the state before it → a frame |
//! | `decode` | bytes, of anybody → a summary and the series; total: it accepts any input |
//! | `window` | the frames of the last minutes in bounded memory |
//! | `folder` | the same on disk |
//! | `viewer` | a bounded queue of frames for one connection |
//! | `feed` | asks for collections while somebody needs them, and hands frames to viewers and window |
//!
//! This crate changes no series and interprets none: what a cell means is written down with its family, and the page computes rates and
//! quantiles.

#![forbid(unsafe_code)]

mod changes;
mod decode;
mod encode;
mod feed;
mod folder;
mod frames;
#[cfg(test)]
mod tests;
mod times;
mod viewer;
mod window;
mod wire;

pub use decode::{Player, RecordedFamily, RecordedSeries, RecordingError, Summary, inspect};
pub use encode::Encoder;
pub use feed::{Feed, FeedOptions, StatusEncoder};
pub use folder::{SaveError, file_name};
pub use times::parse_duration;
pub use viewer::{Frames, ViewerRefused};
pub use window::Dump;
pub use wire::HEADER;
