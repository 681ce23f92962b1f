//! Packages in OCI registries: stored, found, checked and installed.
//!
//! For commands that a person or a timer runs. The host itself never talks to a registry: it loads what lies in its folder, and compares it with the pins.
//!
//! Nothing that a registry says is believed. In this order, and each step uses only what those before it have checked:
//!
//! 1. the [`Policy`] has a rule for the repository;
//! 2. the manifest is fetched, and its digest computed;
//! 3. somebody whom the rule trusts has [signed](signature) that digest;
//! 4. the manifest is one of a package, within the bounds, and its paths lead nowhere else ([`Artifact`]);
//! 5. each file has the size and the digest that the manifest gives it;
//! 6. the files are a package that the rule allows, of which no newer one is installed;
//! 7. all packages take their places together ([`PluginFolder`]).
//!
//! A registry is spoken to by a client of our own on ureq ([`Client`]), one request at a time: five kinds of requests are all that this takes.

#![forbid(unsafe_code)]

mod age;
mod artifact;
mod auth;
mod build;
mod bundle;
mod certificates;
mod client;
mod credentials;
mod digest;
mod encrypted_key;
mod fetch;
mod folder;
mod install;
mod keys;
mod layout;
mod lock;
mod manifest;
mod pattern;
mod pins;
mod policy;
mod reference;
mod search;
pub mod signature;
mod store;
mod tls_fault;
mod token;
mod verify;
mod write;

pub use age::{OlderError, check_not_older};
pub use artifact::{Architecture, Artifact, ArtifactError, FileKind, Layer, Recordings};
pub use build::{Description, Draft, DraftError, FOR_PEOPLE};
pub use certificates::{CertificateError, Certificates};
pub use client::{Client, PlainHttp, Session};
pub use credentials::{Credential, Credentials, CredentialsError};
pub use digest::{DigestError, OciDigest};
pub use fetch::{CopyError, FetchError, Fetched, Source, copy_from_layout};
pub use folder::{FolderError, PackageFile, PluginFolder, Staged};
pub use install::{Change, InstallError, Installed, Permissions, Target, install};
pub use keys::{KeyError, PublicKey, SigningKey};
pub use layout::Layout;
pub use lock::{LockError, read_lock, write_lock};
pub use manifest::{Annotations, Descriptor, Index, Manifest, RawManifest, annotation, media_type};
pub use pins::{Pin, Pins, PinsError, Record};
pub use policy::{POLICY_FILE, Policy, PolicyError, Rule, TrustFlags};
pub use reference::{ManifestName, Reference, ReferenceError, Repository};
pub use search::{Found, Results, search};
pub use signature::SignatureError;
pub use store::{Store, StoreError, blob};
pub use verify::{Finding, Verified, verify_folder};
