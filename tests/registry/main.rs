//! Packages in OCI registries: Debian's docker-registry on loopback, and beside ours the tools that people have: skopeo, oras, cosign.
//!
//! A refused package leaves the folder of packages as it was, byte by byte.

mod air_gap;
mod credentials;
mod host;
mod kit;
mod packages;
mod refusals;
mod signatures;
mod signing_keys;
mod tls;
mod token;
mod tools;
