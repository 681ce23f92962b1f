//! A user starts ebhost and points Prometheus at it: formats, paths, privileges, shutdown.

mod formats;
mod lifetime;
mod operators;
mod options;
mod privileges;
mod prometheus;
mod settings;
mod start;
