//! OCI layout folders (image specification, "Image Layout"): artifacts as files, for hosts that reach no registry.
//!
//! A manifest's name (`org.opencontainers.image.ref.name`) is the whole reference that it was pulled by, so that one folder holds many packages.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use crate::{
    digest::OciDigest,
    manifest::{Descriptor, Index, RawManifest, annotation, media_type},
    reference::{ManifestName, Repository},
    store::{Store, StoreError},
    write::write_file,
};
use ebhost_limits as limits;

/// The content of `oci-layout`.
const MARKER: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";

/// A layout folder, as one repository sees it.
#[derive(Debug, Clone)]
pub struct Layout {
    folder: PathBuf,
    /// Tags have this before them: `ghcr.io/acme/runqlat:`, or nothing.
    prefix: String,
}

impl Layout {
    /// The manifests of this repository in a folder.
    pub fn of_repository(folder: &Path, repository: &Repository) -> Self {
        Self { folder: folder.to_owned(), prefix: format!("{repository}:") }
    }

    /// The manifests of a folder by their whole names.
    pub fn whole(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), prefix: String::new() }
    }

    /// Names of packages: of the manifests that are no signatures.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, StoreError> {
        let index = self.index()?.unwrap_or_else(empty_index);
        let names = index.manifests.iter().filter_map(|manifest| manifest.annotations.get(annotation::REF_NAME));
        let tag = |name: &String| name.rsplit(':').next().unwrap_or_default().to_owned();
        Ok(names.filter(|name| !tag(name).starts_with("sha256-")).cloned().collect())
    }

    /// The same folder, in which the name is a reference or a tag: what stands beside it is found, too.
    pub fn beside(&self, name: &str) -> (Self, String) {
        match name.rsplit_once(':') {
            Some((repository, tag)) if repository.contains('/') => {
                (Self { folder: self.folder.clone(), prefix: format!("{repository}:") }, tag.to_owned())
            }
            _ => (self.clone(), name.to_owned()),
        }
    }

    fn blob_path(&self, digest: OciDigest) -> PathBuf {
        self.folder.join("blobs/sha256").join(digest.hex())
    }

    /// The index; none if the folder is not there.
    fn index(&self) -> Result<Option<Index>, StoreError> {
        let path = self.folder.join("index.json");
        let bytes = match read(&path, limits::REGISTRY_MANIFEST_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.folder.exists() => return Ok(None),
            Err(source) => {
                return Err(StoreError::NoLayout {
                    path: self.folder.clone(),
                    found: format!("no index.json that can be read ({source})"),
                });
            }
        };
        let index = serde_json::from_slice(&bytes);
        index.map(Some).map_err(|error| StoreError::NoLayout { path, found: format!("no index ({error})") })
    }

    fn file(&self, digest: OciDigest, most: u64) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        read(&path, most).map_err(|source| StoreError::File { path, source })
    }
}

fn empty_index() -> Index {
    Index { schema_version: 2, media_type: Some(media_type::INDEX.to_owned()), manifests: Vec::new() }
}

impl Store for Layout {
    fn name(&self) -> String {
        format!("oci:{}", self.folder.display())
    }

    fn manifest(&self, name: &ManifestName) -> Result<Option<RawManifest>, StoreError> {
        let missing = || StoreError::NoLayout { path: self.folder.clone(), found: "no such folder".to_owned() };
        let index = self.index()?.ok_or_else(missing)?;
        let is_named = |descriptor: &&Descriptor| match name {
            ManifestName::Digest(digest) => descriptor.digest == *digest,
            ManifestName::Tag(tag) => descriptor
                .annotations
                .get(annotation::REF_NAME)
                .is_some_and(|found| *found == format!("{}{tag}", self.prefix)),
        };
        let Some(descriptor) = index.manifests.iter().find(is_named) else { return Ok(None) };
        let bytes = self.file(descriptor.digest, limits::REGISTRY_MANIFEST_BYTES)?;
        let found = OciDigest::of(&bytes);
        if found != descriptor.digest {
            return Err(StoreError::Digest {
                place: format!("{}: manifest", Store::name(self)),
                found,
                expected: descriptor.digest,
            });
        }
        Ok(Some(RawManifest { bytes, media_type: descriptor.media_type.clone() }))
    }

    fn raw_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, StoreError> {
        self.file(descriptor.digest, descriptor.size)
    }

    fn put_blob(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.blob_path(OciDigest::of(bytes));
        let unwritable = |source| StoreError::File { path: path.clone(), source };
        fs::create_dir_all(self.folder.join("blobs/sha256")).map_err(unwritable)?;
        if path.exists() {
            return Ok(());
        }
        write_file(&path, bytes).map_err(unwritable)
    }

    fn put_manifest(&self, manifest: &RawManifest, name: &ManifestName) -> Result<(), StoreError> {
        self.put_blob(&manifest.bytes)?;
        let mut index = self.index_to_write()?;
        let mut descriptor = Descriptor::of(&manifest.bytes, &manifest.media_type);
        if let ManifestName::Tag(tag) = name {
            let name = format!("{}{tag}", self.prefix);
            index.manifests.retain(|other| other.annotations.get(annotation::REF_NAME) != Some(&name));
            descriptor = descriptor.annotated(annotation::REF_NAME, name);
        } else if index.manifests.iter().any(|other| other.digest == descriptor.digest) {
            return Ok(());
        }
        index.manifests.push(descriptor);
        let path = self.folder.join("index.json");
        let bytes = serde_json::to_vec(&index).unwrap_or_default();
        let marker = self.folder.join("oci-layout");
        write_file(&marker, MARKER).map_err(|source| StoreError::File { path: marker, source })?;
        write_file(&path, &bytes).map_err(|source| StoreError::File { path, source })
    }
}

impl Layout {
    /// The index that a manifest is added to. The folder has blobs by now.
    fn index_to_write(&self) -> Result<Index, StoreError> {
        if self.folder.join("index.json").exists() {
            return Ok(self.index()?.unwrap_or_else(empty_index));
        }
        Ok(empty_index())
    }
}

/// Reads a file of at most `most` bytes.
fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("found more than {most} bytes, expected at most so many")));
    }
    Ok(bytes)
}
