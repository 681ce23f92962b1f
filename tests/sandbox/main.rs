//! The sandbox: whatever a component does costs its own entries and nothing else.
//!
//! A component of the test's own does what its config asks for (`tests/sandbox/sinner`), one sin at a time, beside
//! biolatency and alone. What is held against each: scrapes are answered in time, biolatency counts as the kernel does, the metrics
//! name the reason, memory stays bounded, and a mended file brings the plugin back without a restart.

mod chaos;
mod decode;
mod describe;
mod life;
mod loading;
mod privileges;
mod reload;
mod rig;
mod trust;
