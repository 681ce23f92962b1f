//! Fetching an artifact: policy, manifest, signature, and only then its files.

use std::path::{Path, PathBuf};

use crate::{
    artifact::{Architecture, Artifact, ArtifactError, Recordings},
    certificates::CertificateError,
    client::Session,
    digest::OciDigest,
    folder::PackageFile,
    layout::Layout,
    manifest::{RawManifest, annotation},
    policy::{Policy, PolicyError, Rule},
    reference::{ManifestName, Reference, Repository},
    signature::{self, SignatureError},
    store::{self, Store, StoreError},
};

/// Where artifacts come from: registries, or a layout folder in their place.
pub struct Source<'a> {
    pub session: &'a Session,
    pub policy: &'a Policy,
    /// A layout folder that is asked instead of any registry.
    pub layout: Option<&'a Path>,
}

/// An artifact whose manifest is known and whose signature is good. Its files have not been fetched.
pub struct Fetched<'a> {
    /// As it was asked for, with its digest.
    pub reference: Reference,
    pub artifact: Artifact,
    pub rule: &'a Rule,
    /// The file of the key that signed it; none: the rule asks for no signature.
    pub signed_by: Option<&'a Path>,
    raw: RawManifest,
    store: Box<dyn Store + 'a>,
}

/// Why an artifact is not used.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error("{reference}: {source}")]
    Store { reference: Reference, source: StoreError },
    #[error("{reference}: found no such artifact in {places}; `ebhost search {repository}` lists what is there")]
    NotFound { reference: Reference, repository: Repository, places: String },
    #[error("{reference}: {source}")]
    Artifact { reference: Reference, source: ArtifactError },
    #[error("{reference}: {source}")]
    Signature { reference: Reference, source: SignatureError },
}

impl<'a> Source<'a> {
    /// Finds an artifact, and checks that somebody who is trusted has signed it.
    ///
    /// # Errors
    /// No rule, no artifact, no signature by a key of the rule, or a manifest that is no package's.
    pub fn fetch(&self, reference: &Reference) -> Result<Fetched<'a>, FetchError> {
        let rule = self.policy.rule_for(&reference.repository)?;
        let (store, raw) = self.find(reference)?;
        let digest = raw.digest();
        let reference = reference.at(digest);
        let key = rule.keys.as_ref().map(|keys| signature::verify(&*store, digest, keys)).transpose();
        let key = key.map_err(|source| FetchError::Signature { reference: reference.clone(), source })?;
        let artifact =
            Artifact::parse(&raw).map_err(|source| FetchError::Artifact { reference: reference.clone(), source })?;
        Ok(Fetched { reference, artifact, rule, signed_by: key.map(|key| key.path.as_path()), raw, store })
    }

    /// The first place that has the manifest. A mirror that does not answer is passed over; the registry itself is the last.
    fn find(&self, reference: &Reference) -> Result<(Box<dyn Store + 'a>, RawManifest), FetchError> {
        let places = self
            .places(&reference.repository)
            .map_err(|error| FetchError::Store { reference: reference.clone(), source: error.into() })?;
        let name = reference.manifest_name();
        let names: Vec<_> = places.iter().map(|place| place.name()).collect();
        let mut last = None;
        for place in places {
            match store::manifest(&*place, &name) {
                Ok(Some(raw)) => return Ok((place, raw)),
                Ok(None) => {}
                Err(source) => last = Some(source),
            }
        }
        Err(match last {
            Some(source) => FetchError::Store { reference: reference.clone(), source },
            None => FetchError::NotFound {
                reference: reference.clone(),
                repository: reference.repository.clone(),
                places: names.join(", "),
            },
        })
    }

    fn places(&self, repository: &Repository) -> Result<Vec<Box<dyn Store + 'a>>, CertificateError> {
        if let Some(folder) = self.layout {
            return Ok(vec![Box::new(Layout::of_repository(folder, repository))]);
        }
        let repositories = self.policy.mirrors_of(repository).into_iter().chain([repository.clone()]);
        repositories.map(|repository| Ok(Box::new(self.session.reader(&repository)?) as Box<dyn Store>)).collect()
    }
}

impl Fetched<'_> {
    /// The digest of the manifest.
    pub fn digest(&self) -> OciDigest {
        self.raw.digest()
    }

    /// The annotation of the manifest.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.artifact.annotations.get(key).map(String::as_str)
    }

    /// When it was made.
    pub fn created(&self) -> Option<std::time::SystemTime> {
        humantime::parse_rfc3339(self.annotation(annotation::CREATED)?).ok()
    }

    /// The files that a host of this architecture needs, each with the digest that the manifest gives it.
    ///
    /// # Errors
    /// A file is missing, cut short or another one.
    pub fn files(&self, architecture: Architecture, recordings: Recordings) -> Result<Vec<PackageFile>, FetchError> {
        let wanted = self.artifact.files_for(architecture, recordings);
        let wanted = wanted.map_err(|source| FetchError::Artifact { reference: self.reference.clone(), source })?;
        let file = |layer: &crate::artifact::Layer| {
            let bytes = store::blob(&*self.store, &layer.descriptor).map_err(|source| self.store_error(source))?;
            Ok(PackageFile { title: layer.title.clone(), bytes })
        };
        wanted.into_iter().map(file).collect()
    }

    /// Copies the whole artifact with its signatures into a layout folder.
    ///
    /// # Errors
    /// A part of it cannot be read or written.
    pub fn copy_to(&self, folder: &Path) -> Result<(), FetchError> {
        let layout = Layout::of_repository(folder, &self.reference.repository);
        let tag = self.reference.tag.clone().map_or(ManifestName::Digest(self.digest()), ManifestName::Tag);
        copy(&*self.store, &layout, &self.raw, &tag).map_err(|source| self.store_error(source))
    }

    fn store_error(&self, source: StoreError) -> FetchError {
        FetchError::Store { reference: self.reference.clone(), source }
    }
}

/// Why an artifact of a layout folder cannot be pushed.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{place}: {source}")]
    Artifact { place: String, source: ArtifactError },
    #[error(
        "{folder}: found {found}, expected the name of one of its artifacts behind the folder, as in oci:{folder}:NAME"
    )]
    Name { folder: PathBuf, found: String },
}

/// Copies an artifact of a layout folder, with its signatures, unchanged. Without a name the folder has to hold one artifact.
///
/// # Errors
/// It is not there, no package, or not taken.
pub fn copy_from_layout(folder: &Path, name: Option<&str>, to: &dyn Store, tag: &str) -> Result<OciDigest, CopyError> {
    let whole = Layout::whole(folder);
    let names = whole.names()?;
    let wrong = |found: String| CopyError::Name { folder: folder.to_owned(), found };
    let list = || if names.is_empty() { "no artifact".to_owned() } else { names.join(", ") };
    let name = match (name, names.as_slice()) {
        (Some(name), _) => name,
        (None, [name]) => name,
        (None, _) => return Err(wrong(list())),
    };
    let (layout, own_tag) = whole.beside(name);
    let raw = store::manifest(&layout, &ManifestName::Tag(own_tag))?.ok_or_else(|| wrong(list()))?;
    Artifact::parse(&raw)
        .map_err(|source| CopyError::Artifact { place: format!("oci:{}:{name}", folder.display()), source })?;
    copy(&layout, to, &raw, &ManifestName::Tag(tag.to_owned()))?;
    Ok(raw.digest())
}

/// Copies a manifest that was checked, its blobs and its signatures.
fn copy(from: &dyn Store, to: &dyn Store, raw: &RawManifest, name: &ManifestName) -> Result<(), StoreError> {
    let manifest: crate::manifest::Manifest = serde_json::from_slice(&raw.bytes)
        .map_err(|error| StoreError::Strange { url: from.name(), found: error.to_string(), expected: "a manifest" })?;
    for layer in &manifest.layers {
        to.put_blob(&store::blob(from, layer)?)?;
    }
    to.put_blob(&store::small_blob(from, &manifest.config)?)?;
    to.put_manifest(raw, name)?;
    signature::copy(from, to, raw.digest())
}
