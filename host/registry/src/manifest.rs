//! OCI manifests (image specification 1.1), as far as packages and signatures need them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::OciDigest;

/// Media types. Those of [`PACKAGE`](media_type::PACKAGE) and the files of a package are documented in docs/fleet.md.
pub mod media_type {
    /// A manifest.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// A list of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Docker's form of a manifest, which some registries still turn others into.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's form of a list of manifests.
    pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configuration of an artifact that has none: `{}`.
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// The configuration of an image, which cosign's signatures have.
    pub const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// The `artifactType` of a package.
    pub const PACKAGE: &str = "application/vnd.ebhost.package.v1+json";
    /// The configuration of a WebAssembly artifact, as the CNCF's specification has it.
    pub const WASM_CONFIG: &str = "application/vnd.wasm.config.v0+json";
    /// A component.
    pub const WASM: &str = "application/wasm";
    /// The `plugin.yaml`.
    pub const PLUGIN_YAML: &str = "application/vnd.ebhost.plugin.v1+yaml";
    /// A BPF object; [`ARCHITECTURE`](super::annotation::ARCHITECTURE) says for which machines.
    pub const BPF: &str = "application/vnd.ebhost.bpf.v1+elf";
    /// A recording of a package's maps.
    pub const RECORDING: &str = "application/vnd.ebhost.recording.v1+jsonl";
    /// The exposition that a recording gives.
    pub const EXPOSITION: &str = "application/vnd.ebhost.exposition.v1+text";
    /// A license or description.
    pub const DOCUMENT: &str = "text/plain";
    /// The statement that a cosign signature signs.
    pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
    /// A signature as cosign 3 writes it.
    pub const SIGSTORE_BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
}

/// Keys of annotations.
pub mod annotation {
    /// The path of a layer's file in its package.
    pub const TITLE: &str = "org.opencontainers.image.title";
    pub const VERSION: &str = "org.opencontainers.image.version";
    pub const DESCRIPTION: &str = "org.opencontainers.image.description";
    pub const LICENSES: &str = "org.opencontainers.image.licenses";
    pub const SOURCE: &str = "org.opencontainers.image.source";
    /// When the artifact was made, RFC 3339.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// The name of a manifest in a layout folder.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// The architecture that a BPF object is for, as OCI names it; without it, every one.
    pub const ARCHITECTURE: &str = "dev.ebhost.architecture";
    /// A cosign signature of the layer's bytes, in base64.
    pub const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
    /// Set by oras on an archive of a folder.
    pub const UNPACK: &str = "io.deis.oras.content.unpack";
}

/// Annotations of a manifest or descriptor.
pub type Annotations = BTreeMap<String, String>;

/// A blob or manifest by its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: OciDigest,
    /// Bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// A manifest: a configuration and layers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Descriptor,
    #[serde(default)]
    pub layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub annotations: Annotations,
}

/// A list of manifests: the index of a layout folder, or what refers to an artifact.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    #[serde(default)]
    pub manifests: Vec<Descriptor>,
}

/// The bytes of a manifest as the registry has them: their digest is the artifact's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    pub bytes: Vec<u8>,
    pub media_type: String,
}

impl Descriptor {
    /// A descriptor of these bytes.
    pub fn of(bytes: &[u8], media_type: &str) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest: OciDigest::of(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            annotations: Annotations::new(),
        }
    }

    /// The same descriptor with an annotation more.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }
}

impl RawManifest {
    /// The digest of the bytes.
    pub fn digest(&self) -> OciDigest {
        OciDigest::of(&self.bytes)
    }
}

impl Manifest {
    /// A manifest of the image specification 1.1.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media_type::MANIFEST.to_owned()),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: Annotations::new(),
        }
    }

    /// The bytes to store.
    pub fn to_raw(&self) -> RawManifest {
        // Strings and numbers always have a JSON form.
        let bytes = serde_json::to_vec(self).unwrap_or_default();
        RawManifest { bytes, media_type: media_type::MANIFEST.to_owned() }
    }
}
