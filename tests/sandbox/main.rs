//! The sandbox: a faulty component affects its own entries and nothing else.
//!
//! The component `tests/sandbox/misbehaving` commits the fault that its config names. Every fault is tested alone and next to biolatency,
//! and each time scrapes are answered in time, biolatency's counts equal the kernel's, the metrics name the reason, memory stays bounded,
//! and a repaired file brings the plugin back without a restart.

mod budgets;
mod chaos;
mod compiling;
mod decode;
mod describe;
mod feeds;
mod life;
mod loading;
mod privileges;
mod quota;
mod reload;
mod rig;
mod trust;
