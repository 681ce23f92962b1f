//! A user starts ebhost and points Prometheus at it: formats, paths, privileges, shutdown.

mod filters;
mod formats;
mod lifetime;
mod open_files;
mod operators;
mod options;
mod otlp;
mod otlp_tls;
mod privileges;
mod prometheus;
mod settings;
mod start;
mod start_times;
