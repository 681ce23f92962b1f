//! The encoders against other people's: `prometheus-client` for OpenMetrics, `prost` for protobuf; and what each
//! format demands, by families made by hand.

mod formats;
mod openmetrics2;
mod oracle;
mod own;
mod protobuf;
