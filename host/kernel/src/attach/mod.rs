//! From a section name to an attached program: [`Section`] parses names, `probe` finds locations in files, `link` attaches.

pub(crate) mod link;
pub(crate) mod probe;
mod section;

pub(crate) use link::{AttachError, Links, UsdtSpecs};
pub(crate) use section::{Attach, Hook, SECTIONS, Section};
