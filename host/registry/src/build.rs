//! Making an artifact of a package folder.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::Serialize;
use wasmparser::{Parser, Payload};

use crate::{
    artifact::{Architecture, FileKind, Recordings, is_inside},
    digest::OciDigest,
    manifest::{Annotations, Descriptor, Manifest, annotation, media_type},
    reference::ManifestName,
    store::{Store, StoreError},
};
use ebhost_limits as limits;
use ebhost_package::Package;

/// Files for people, which are part of an artifact if they are there.
pub const FOR_PEOPLE: [&str; 4] = ["LICENSE", "LICENSE.txt", "COPYING", "README.md"];

/// The folder of recordings and their expositions.
const TESTS: &str = "tests";

/// An artifact that is not stored yet.
#[derive(Debug)]
pub struct Draft {
    layers: Vec<(Descriptor, Vec<u8>)>,
    config: (Descriptor, Vec<u8>),
    annotations: Annotations,
}

/// Facts for the annotations of an artifact that its plugin.yaml does not have.
#[derive(Debug, Clone)]
pub struct Description {
    pub title: String,
    /// A sentence.
    pub summary: String,
    /// A URL of its sources.
    pub source: Option<String>,
    pub created: SystemTime,
}

/// Why a package cannot become an artifact.
#[derive(Debug, thiserror::Error)]
pub enum DraftError {
    #[error("{path}: cannot be read: {source}")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error(
        "{path}: found a path that an artifact cannot have, expected one inside the package of plain names and at most {} bytes",
        limits::ARTIFACT_PATH_BYTES
    )]
    Path { path: PathBuf },
    #[error("{path}: found {found} bytes, expected at most {most}")]
    TooLarge { path: PathBuf, found: u64, most: u64 },
    #[error("found an object for {architecture}, expected none: the package `{name}` brings no BPF")]
    NoBpf { architecture: Architecture, name: String },
    #[error("found two objects for {architecture}, expected one for each architecture")]
    Twice { architecture: Architecture },
}

impl Draft {
    /// Everything of a package. `objects` take the place of its BPF object, each on machines of its architecture.
    ///
    /// # Errors
    /// A file cannot be read, lies outside of the package, or is too large.
    pub fn new(
        package: &Package,
        objects: &[(Architecture, PathBuf)],
        recordings: Recordings,
        about: &Description,
    ) -> Result<Self, DraftError> {
        let folder = package.file.parent().unwrap_or(Path::new("."));
        let mut layers = vec![layer(folder, &package.file, FileKind::PluginYaml)?];
        if !package.is_builtin() {
            layers.push(layer(folder, &package.component.path, FileKind::Component)?);
        }
        layers.extend(object_layers(package, folder, objects)?);
        let people = FOR_PEOPLE.iter().map(|name| folder.join(name)).filter(|path| path.is_file());
        for path in people {
            layers.push(layer(folder, &path, FileKind::Document)?);
        }
        if recordings == Recordings::Keep {
            for path in recordings_of(folder)? {
                layers.push(layer(folder, &path, FileKind::Recording)?);
            }
        }
        let config = match layers.iter().find(|(descriptor, _)| descriptor.media_type == media_type::WASM) {
            Some((_, component)) => wasm_config(component, &layers, about.created),
            None => (Descriptor::of(b"{}", media_type::EMPTY), b"{}".to_vec()),
        };
        Ok(Self { annotations: annotations(package, about), layers, config })
    }

    /// Stores it under a tag.
    ///
    /// # Errors
    /// The store does not take it.
    pub fn store(&self, store: &dyn Store, tag: &str) -> Result<OciDigest, StoreError> {
        for (_, bytes) in self.layers.iter().chain([&self.config]) {
            store.put_blob(bytes)?;
        }
        let layers = self.layers.iter().map(|(descriptor, _)| descriptor.clone()).collect();
        let mut manifest = Manifest::new(self.config.0.clone(), layers);
        manifest.artifact_type = Some(media_type::PACKAGE.to_owned());
        manifest.annotations = self.annotations.clone();
        let raw = manifest.to_raw();
        store.put_manifest(&raw, &ManifestName::Tag(tag.to_owned()))?;
        Ok(raw.digest())
    }
}

fn annotations(package: &Package, about: &Description) -> Annotations {
    let created = humantime::format_rfc3339_seconds(about.created).to_string();
    let all = [
        (annotation::TITLE, Some(about.title.clone())),
        (annotation::DESCRIPTION, Some(about.summary.clone())),
        (annotation::VERSION, Some(package.version.clone())),
        (annotation::LICENSES, Some(package.license.clone())),
        (annotation::SOURCE, about.source.clone()),
        (annotation::CREATED, Some(created)),
    ];
    let given =
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value.filter(|value| !value.is_empty())?)));
    given.collect()
}

fn object_layers(
    package: &Package,
    folder: &Path,
    objects: &[(Architecture, PathBuf)],
) -> Result<Vec<(Descriptor, Vec<u8>)>, DraftError> {
    let Some(bpf) = &package.bpf else {
        return match objects.first() {
            Some((architecture, _)) => {
                Err(DraftError::NoBpf { architecture: *architecture, name: package.name.clone() })
            }
            None => Ok(Vec::new()),
        };
    };
    let own = layer(folder, &bpf.object.path, FileKind::Bpf(None))?;
    if objects.is_empty() {
        return Ok(vec![own]);
    }
    let title = own.0.annotations[annotation::TITLE].clone();
    let mut layers = Vec::new();
    for (index, (architecture, path)) in objects.iter().enumerate() {
        if objects[..index].iter().any(|(other, _)| other == architecture) {
            return Err(DraftError::Twice { architecture: *architecture });
        }
        let bytes = read(path, FileKind::Bpf(None))?;
        let descriptor = Descriptor::of(&bytes, media_type::BPF).annotated(annotation::TITLE, title.as_str());
        layers.push((descriptor.annotated(annotation::ARCHITECTURE, architecture.to_string()), bytes));
    }
    Ok(layers)
}

/// A file of the package with its path in it.
fn layer(folder: &Path, path: &Path, kind: FileKind) -> Result<(Descriptor, Vec<u8>), DraftError> {
    let title =
        path.strip_prefix(folder).ok().and_then(Path::to_str).map(|title| title.trim_start_matches("./").to_owned());
    let Some(title) = title.filter(|title| is_inside(title)) else {
        return Err(DraftError::Path { path: path.to_owned() });
    };
    let bytes = read(path, kind)?;
    Ok((Descriptor::of(&bytes, kind.media_type(&title)).annotated(annotation::TITLE, title), bytes))
}

fn read(path: &Path, kind: FileKind) -> Result<Vec<u8>, DraftError> {
    let bytes = fs::read(path).map_err(|source| DraftError::Unreadable { path: path.to_owned(), source })?;
    let (found, most) = (bytes.len() as u64, kind.most_bytes());
    if found > most { Err(DraftError::TooLarge { path: path.to_owned(), found, most }) } else { Ok(bytes) }
}

/// Recordings and their expositions, by name.
fn recordings_of(folder: &Path) -> Result<Vec<PathBuf>, DraftError> {
    let tests = folder.join(TESTS);
    let entries = match fs::read_dir(&tests) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(DraftError::Unreadable { path: tests, source }),
    };
    let is_recording =
        |path: &PathBuf| path.extension().is_some_and(|extension| extension == "jsonl" || extension == "prom");
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).filter(is_recording).collect();
    paths.sort();
    Ok(paths)
}

/// The configuration that the CNCF's "Wasm OCI artifact" has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WasmConfig {
    created: String,
    architecture: &'static str,
    os: &'static str,
    layer_digests: Vec<OciDigest>,
    component: WasmComponent,
}

#[derive(Default, Serialize)]
struct WasmComponent {
    exports: Vec<String>,
    imports: Vec<String>,
}

fn wasm_config(component: &[u8], layers: &[(Descriptor, Vec<u8>)], created: SystemTime) -> (Descriptor, Vec<u8>) {
    let config = WasmConfig {
        created: humantime::format_rfc3339_seconds(created).to_string(),
        architecture: "wasm",
        os: "wasip2",
        layer_digests: layers.iter().map(|(descriptor, _)| descriptor.digest).collect(),
        component: world_of(component),
    };
    let bytes = serde_json::to_vec(&config).unwrap_or_default();
    (Descriptor::of(&bytes, media_type::WASM_CONFIG), bytes)
}

/// The names that a component imports and exports itself. It was checked before: an error ends the list.
fn world_of(component: &[u8]) -> WasmComponent {
    let mut world = WasmComponent::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(imports) if depth == 0 => {
                world.imports.extend(imports.into_iter().flatten().map(|import| import.name.name.to_owned()));
            }
            Payload::ComponentExportSection(exports) if depth == 0 => {
                world.exports.extend(exports.into_iter().flatten().map(|export| export.name.name.to_owned()));
            }
            _ => {}
        }
    }
    world
}
