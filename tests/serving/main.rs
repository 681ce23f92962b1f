//! What a user meets who starts ebhost and points Prometheus at it: formats, paths, privileges, the end.

mod formats;
mod lifetime;
mod options;
mod privileges;
mod prometheus;
mod start;
