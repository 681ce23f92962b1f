//! A package as an artifact: the checked content of its manifest. Nothing of a manifest is used that this module has not looked at.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::manifest::{Annotations, Descriptor, Manifest, RawManifest, annotation, media_type};
use ebhost_limits as limits;

/// The architecture of a machine, by OCI's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Architecture {
    Amd64,
    Arm64,
}

/// The part that a file has in its package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// `plugin.yaml`.
    PluginYaml,
    Component,
    /// A BPF object for one architecture, or for every one.
    Bpf(Option<Architecture>),
    /// A recording, or the exposition that it gives: for tests, not for a host.
    Recording,
    Document,
}

/// A file of a package, in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Its path in the package: plain names with `/` between them.
    pub title: String,
    pub kind: FileKind,
    pub descriptor: Descriptor,
}

/// A manifest that is one of a package.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// In the manifest's order. One of them is `plugin.yaml`.
    pub layers: Vec<Layer>,
    pub annotations: Annotations,
}

/// Why a manifest is no package that can be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ArtifactError {
    #[error("found no manifest ({why}), expected an OCI manifest of a package")]
    Malformed { why: String },
    #[error("found {found}, expected the manifest of one package ({})", media_type::MANIFEST)]
    NoManifest { found: String },
    #[error(
        "found no file `plugin.yaml` among its layers, expected a package as `ebhost push` stores it: is this the right repository?"
    )]
    NoPackage,
    #[error("found {found} files, expected at most {}", limits::ARTIFACT_FILES)]
    TooManyFiles { found: usize },
    #[error("found {found} bytes in all files together, expected at most {}", limits::ARTIFACT_BYTES)]
    TooManyBytes { found: u64 },
    #[error("{title}: found {found} bytes, expected at most {most}: is this the right file?")]
    TooLarge { title: String, found: u64, most: u64 },
    #[error(
        "found a layer of type `{media_type}` without the annotation {}, expected the path of its file there",
        annotation::TITLE
    )]
    NoTitle { media_type: String },
    #[error(
        "found the path `{title}`, expected one inside the package: plain names, none of which begins with a dot, at most {} bytes",
        limits::ARTIFACT_PATH_BYTES
    )]
    Path { title: String },
    #[error("{title}: found it twice{what}, expected each file once")]
    Twice { title: String, what: String },
    #[error(
        "{title}: found an archive of a folder, expected its files as layers of their own; push files, not folders"
    )]
    Archive { title: String },
    #[error("{title}: found the architecture `{found}`, expected amd64 or arm64")]
    Architecture { title: String, found: String },
    #[error("{title}: found objects for {found}, expected one for {expected} or for every architecture")]
    NoObject { title: String, found: String, expected: Architecture },
}

impl Architecture {
    /// That of this machine.
    pub fn here() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Arm64 } else { Self::Amd64 }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        })
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "amd64" | "x86_64" => Ok(Self::Amd64),
            "arm64" | "aarch64" => Ok(Self::Arm64),
            _ => Err(format!("found `{text}`, expected amd64 or arm64")),
        }
    }
}

impl FileKind {
    /// The kind of a file by its name: artifacts of other tools say no more.
    pub fn of_title(title: &str) -> Self {
        let ends = |end: &str| title.ends_with(end);
        match title {
            "plugin.yaml" => Self::PluginYaml,
            _ if title.starts_with("tests/") || ends(".jsonl") || ends(".prom") => Self::Recording,
            _ if ends(".wasm") => Self::Component,
            _ if ends(".o") => Self::Bpf(None),
            _ => Self::Document,
        }
    }

    /// The media type of the layer.
    pub fn media_type(self, title: &str) -> &'static str {
        match self {
            Self::PluginYaml => media_type::PLUGIN_YAML,
            Self::Component => media_type::WASM,
            Self::Bpf(_) => media_type::BPF,
            Self::Recording if title.ends_with(".jsonl") => media_type::RECORDING,
            Self::Recording => media_type::EXPOSITION,
            Self::Document => media_type::DOCUMENT,
        }
    }

    pub(crate) fn most_bytes(self) -> u64 {
        match self {
            Self::PluginYaml => limits::PACKAGE_FILE_BYTES,
            Self::Component => limits::COMPONENT_BYTES,
            Self::Bpf(_) => limits::OBJECT_BYTES,
            Self::Recording | Self::Document => limits::ARTIFACT_FILE_BYTES,
        }
    }
}

impl Artifact {
    /// Checks a manifest.
    ///
    /// # Errors
    /// It is no manifest of a package, or breaks a bound.
    pub fn parse(raw: &RawManifest) -> Result<Self, ArtifactError> {
        let malformed = |error: serde_json::Error| ArtifactError::Malformed { why: error.to_string() };
        let value: serde_json::Value = serde_json::from_slice(&raw.bytes).map_err(malformed)?;
        if value.get("manifests").is_some() {
            return Err(ArtifactError::NoManifest { found: "an index of several manifests".to_owned() });
        }
        let manifest: Manifest = serde_json::from_value(value).map_err(malformed)?;
        let types = [manifest.media_type.as_deref(), Some(raw.media_type.as_str())];
        if let Some(found) = types.into_iter().flatten().find(|found| *found != media_type::MANIFEST) {
            return Err(ArtifactError::NoManifest { found: format!("the media type `{found}`") });
        }
        if manifest.layers.len() > limits::ARTIFACT_FILES {
            return Err(ArtifactError::TooManyFiles { found: manifest.layers.len() });
        }
        let total = manifest.layers.iter().fold(0, |total: u64, layer| total.saturating_add(layer.size));
        if total > limits::ARTIFACT_BYTES {
            return Err(ArtifactError::TooManyBytes { found: total });
        }
        let layers = manifest.layers.into_iter().map(Layer::parse).collect::<Result<Vec<_>, _>>()?;
        check_once(&layers)?;
        if !layers.iter().any(|layer| layer.kind == FileKind::PluginYaml) {
            return Err(ArtifactError::NoPackage);
        }
        Ok(Self { layers, annotations: manifest.annotations })
    }

    /// The files that a host of this architecture needs; recordings on request.
    ///
    /// # Errors
    /// There are objects for other architectures only.
    pub fn files_for(&self, architecture: Architecture, recordings: Recordings) -> Result<Vec<&Layer>, ArtifactError> {
        let is_wanted = |layer: &&Layer| match layer.kind {
            FileKind::Bpf(other) => other.is_none_or(|other| other == architecture),
            FileKind::Recording => recordings == Recordings::Keep,
            _ => true,
        };
        let wanted: Vec<_> = self.layers.iter().filter(is_wanted).collect();
        let objects = self.layers.iter().filter(|layer| matches!(layer.kind, FileKind::Bpf(_)));
        let missing = objects.clone().find(|object| !wanted.iter().any(|layer| layer.title == object.title));
        match missing {
            None => Ok(wanted),
            Some(object) => {
                let same = objects.filter(|other| other.title == object.title);
                let found: Vec<_> = same
                    .filter_map(|other| match other.kind {
                        FileKind::Bpf(architecture) => architecture.map(|architecture| architecture.to_string()),
                        _ => None,
                    })
                    .collect();
                Err(ArtifactError::NoObject {
                    title: object.title.clone(),
                    found: found.join(" and "),
                    expected: architecture,
                })
            }
        }
    }
}

/// Whether recordings are among the files that are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recordings {
    Keep,
    LeaveOut,
}

impl Layer {
    fn parse(descriptor: Descriptor) -> Result<Self, ArtifactError> {
        let Some(title) = descriptor.annotations.get(annotation::TITLE).cloned() else {
            return Err(ArtifactError::NoTitle { media_type: descriptor.media_type });
        };
        if !is_inside(&title) {
            return Err(ArtifactError::Path { title });
        }
        if descriptor.annotations.contains_key(annotation::UNPACK) {
            return Err(ArtifactError::Archive { title });
        }
        let kind = match (FileKind::of_title(&title), descriptor.annotations.get(annotation::ARCHITECTURE)) {
            (FileKind::Bpf(_), Some(found)) => {
                let architecture = found.parse();
                FileKind::Bpf(Some(
                    architecture
                        .map_err(|_| ArtifactError::Architecture { title: title.clone(), found: found.clone() })?,
                ))
            }
            (kind, _) => kind,
        };
        let (found, most) = (descriptor.size, kind.most_bytes());
        if found > most {
            return Err(ArtifactError::TooLarge { title, found, most });
        }
        Ok(Self { title, kind, descriptor })
    }
}

/// Refuses two files of one path: which one is meant is a question of order, and tools answer it differently.
fn check_once(layers: &[Layer]) -> Result<(), ArtifactError> {
    let mut seen = BTreeSet::new();
    for layer in layers {
        let is_new = seen.insert((layer.title.as_str(), layer.kind));
        let for_all = (layer.title.as_str(), FileKind::Bpf(None));
        let is_mixed = matches!(layer.kind, FileKind::Bpf(Some(_)))
            && layers.iter().any(|other| (other.title.as_str(), other.kind) == for_all);
        if !is_new || is_mixed {
            let what = if is_mixed { ", for one architecture and for every one" } else { "" };
            return Err(ArtifactError::Twice { title: layer.title.clone(), what: what.to_owned() });
        }
    }
    Ok(())
}

/// Whether a path leads nowhere but into the package.
pub(crate) fn is_inside(path: &str) -> bool {
    let is_plain =
        |name: &str| !name.is_empty() && !name.starts_with('.') && !name.chars().any(|c| c.is_control() || c == '\\');
    !path.is_empty() && path.len() <= limits::ARTIFACT_PATH_BYTES && path.split('/').all(is_plain)
}

#[cfg(test)]
mod tests;
