//! The encoders against other people's: `prometheus-client` for OpenMetrics, `prost` for protobuf.

mod oracle;
mod protobuf;
