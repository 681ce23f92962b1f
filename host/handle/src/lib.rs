//! The agent as its sinks see it.
//!
//! A sink takes metrics out of the host: the HTTP server, something that pushes, a recorder. It holds a [`Handle`] and asks for a
//! *collection* (the kernel is read, and every family is visited), for the *families* that are exposed now, or for the *status* of
//! every package. One that sends traces takes the *spans* since the last time.
//!
//! The agent's thread owns the tables, so families are not copied to the sink. The sink sends a [`FamilyVisitor`], which the agent's
//! thread calls with a [`Collection`] that borrows from the tables. Visitors that wait when a reading of the kernel begins share it.
//!
//! This crate knows no exposition format, no protocol and no stage of the agent. Sinks depend on it and not on the agent, and the
//! agent knows none of its sinks: a new sink changes nothing in the agent.

#![forbid(unsafe_code)]

mod collection;
mod request;
mod span;
mod visitor;

pub use collection::{Collection, FamilyDescription, NamedFamily, Origin};
pub use request::{AgentRequest, Handle, HandleError, Requests, channel};
pub use span::{Span, SpanReply};
pub use visitor::{Demand, FamilyVisitor};
