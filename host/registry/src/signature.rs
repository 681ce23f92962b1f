//! Signatures by keys, as cosign stores and verifies them, without any service.
//!
//! There are two forms. *Simple signing*: beside the artifact stands a manifest with the tag `sha256-HEX.sig`, each layer of which is a statement
//! that names the artifact's digest, with the signature as an annotation; cosign, skopeo and podman read it, and `ebhost push` writes it.
//! *Bundles* ([`bundle`](crate::bundle)), which cosign 3 writes. Either is enough. Certificates and transparency logs are not looked at: the key is what is trusted.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};

use crate::{
    bundle,
    digest::OciDigest,
    keys::{KeyError, PublicKey, SigningKey},
    manifest::{Descriptor, Manifest, annotation, media_type},
    reference::{ManifestName, Repository},
    store::{self, Store, StoreError},
};
use ebhost_limits as limits;

/// The type of a statement, as cosign writes it.
const STATEMENT_TYPE: &str = "cosign container image signature";

/// Why an artifact is not taken for signed.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(
        "found no signature of {digest}, expected one by {keys}; the publisher signs with `ebhost push --sign-key` or `cosign sign --key`"
    )]
    Missing { digest: OciDigest, keys: String },
    #[error("found {found} of {digest}, expected one by {keys}: {why}")]
    Wrong { digest: OciDigest, found: String, keys: String, why: String },
}

/// The statement that is signed: the digest, and the name under which it was pushed.
#[derive(Debug, Serialize, Deserialize)]
struct Statement {
    critical: Critical,
    optional: Option<serde_json::Value>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Critical {
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Identity {
    docker_reference: String,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Image {
    docker_manifest_digest: OciDigest,
}

/// Looks for a signature of the digest by one of the keys; returns the key that made it.
///
/// # Errors
/// There is none, or none of them is by one of the keys and for this digest.
pub fn verify<'k>(
    store: &dyn Store,
    digest: OciDigest,
    keys: &'k [PublicKey],
) -> Result<&'k PublicKey, SignatureError> {
    let mut looked_at = LookedAt::default();
    if let Some(key) = verify_simple(store, digest, keys, &mut looked_at)? {
        return Ok(key);
    }
    if let Some(key) = bundle::verify(store, digest, keys, &mut looked_at)? {
        return Ok(key);
    }
    let names: Vec<_> = keys.iter().map(|key| key.path.display().to_string()).collect();
    let keys = names.join(" or ");
    if looked_at.signatures == 0 {
        return Err(SignatureError::Missing { digest, keys });
    }
    let found = if looked_at.signatures == 1 {
        "a signature".to_owned()
    } else {
        format!("{} signatures", looked_at.signatures)
    };
    let why = match looked_at.other_digest {
        Some(other) => format!("the key has signed {other}, which is another artifact"),
        None => "another key has signed, or the signature was changed".to_owned(),
    };
    Err(SignatureError::Wrong { digest, found, keys, why })
}

/// Signatures that did not do, for the message.
#[derive(Debug, Default)]
pub(crate) struct LookedAt {
    pub(crate) signatures: usize,
    /// A digest for which one of the keys did sign.
    pub(crate) other_digest: Option<OciDigest>,
}

fn verify_simple<'k>(
    store: &dyn Store,
    digest: OciDigest,
    keys: &'k [PublicKey],
    looked_at: &mut LookedAt,
) -> Result<Option<&'k PublicKey>, StoreError> {
    let Some(manifest) = signatures_of(store, digest)? else { return Ok(None) };
    for layer in manifest.layers.iter().take(limits::SIGNATURES) {
        let signature = layer.annotations.get(annotation::SIGNATURE).and_then(|text| STANDARD.decode(text).ok());
        let Some(signature) = signature.filter(|_| layer.media_type == media_type::SIMPLE_SIGNING) else { continue };
        looked_at.signatures += 1;
        let payload = store::small_blob(store, layer)?;
        let Some(key) = keys.iter().find(|key| key.has_signed(&payload, &signature)) else { continue };
        // Only now that somebody who is trusted wrote it is it parsed.
        match serde_json::from_slice::<Statement>(&payload)
            .map(|statement| statement.critical.image.docker_manifest_digest)
        {
            Ok(signed) if signed == digest => return Ok(Some(key)),
            Ok(other) => looked_at.other_digest = Some(other),
            Err(_) => {}
        }
    }
    Ok(None)
}

/// The manifest with the simple signatures of a digest.
fn signatures_of(store: &dyn Store, digest: OciDigest) -> Result<Option<Manifest>, StoreError> {
    let raw = store::manifest(store, &ManifestName::Tag(digest.signature_tag()))?;
    // Anything else than a manifest has no signatures.
    Ok(raw.and_then(|raw| serde_json::from_slice(&raw.bytes).ok()))
}

/// Signs a digest, and stores the signature beside those that are there.
///
/// # Errors
/// The store does not take it.
pub fn sign(
    store: &dyn Store,
    repository: &Repository,
    digest: OciDigest,
    key: &SigningKey,
) -> Result<(), SignatureError> {
    let payload = payload(repository, digest);
    let mut layers = signatures_of(store, digest)?.map(|manifest| manifest.layers).unwrap_or_default();
    let by_this_key = |layer: &Descriptor| {
        let signature = layer.annotations.get(annotation::SIGNATURE).and_then(|text| STANDARD.decode(text).ok());
        signature
            .is_some_and(|signature| layer.digest == OciDigest::of(&payload) && key.has_signed(&payload, &signature))
    };
    if layers.iter().any(by_this_key) {
        return Ok(());
    }
    let signature = STANDARD.encode(key.sign(&payload)?);
    layers.push(Descriptor::of(&payload, media_type::SIMPLE_SIGNING).annotated(annotation::SIGNATURE, signature));
    store.put_blob(&payload)?;
    Ok(put_signatures(store, digest, layers)?)
}

/// The bytes that are signed, as cosign writes them.
fn payload(repository: &Repository, digest: OciDigest) -> Vec<u8> {
    let critical = Critical {
        identity: Identity { docker_reference: repository.to_string() },
        image: Image { docker_manifest_digest: digest },
        kind: STATEMENT_TYPE.to_owned(),
    };
    serde_json::to_vec(&Statement { critical, optional: None }).unwrap_or_default()
}

/// The configuration of an image without content: cosign's signatures have one.
fn image_config(layers: &[Descriptor]) -> Vec<u8> {
    let digests: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let no_time = "0001-01-01T00:00:00Z";
    let config = serde_json::json!({
        "architecture": "", "created": no_time, "history": [{ "created": no_time }], "os": "",
        "rootfs": { "type": "layers", "diff_ids": digests }, "config": {},
    });
    serde_json::to_vec(&config).unwrap_or_default()
}

/// Copies every signature of a digest from one store to another, beside those that it has.
///
/// # Errors
/// One of them fails.
pub(crate) fn copy(from: &dyn Store, to: &dyn Store, digest: OciDigest) -> Result<(), StoreError> {
    if let Some(copied) = signatures_of(from, digest)? {
        let mut layers = signatures_of(to, digest)?.map(|manifest| manifest.layers).unwrap_or_default();
        let before = layers.len();
        for layer in copied.layers.into_iter().take(limits::SIGNATURES) {
            if !layers.contains(&layer) {
                to.put_blob(&store::small_blob(from, &layer)?)?;
                layers.push(layer);
            }
        }
        if layers.len() > before {
            put_signatures(to, digest, layers)?;
        }
    }
    bundle::copy(from, to, digest)
}

/// Stores the list of signatures, whose payloads are there.
fn put_signatures(store: &dyn Store, digest: OciDigest, layers: Vec<Descriptor>) -> Result<(), StoreError> {
    let config = image_config(&layers);
    store.put_blob(&config)?;
    let manifest = Manifest::new(Descriptor::of(&config, media_type::IMAGE_CONFIG), layers);
    store.put_manifest(&manifest.to_raw(), &ManifestName::Tag(digest.signature_tag()))
}
