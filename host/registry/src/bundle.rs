//! Signatures in the form of Sigstore bundles, which cosign 3 writes: a statement (in-toto) in an envelope (DSSE), in a manifest that refers to the artifact.
//!
//! The manifests that refer to an artifact are listed by the registry's referrers API, or, in registries without it, by the index with the tag
//! `sha256-HEX`, which cosign writes to those.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;

use crate::{
    digest::OciDigest,
    keys::PublicKey,
    manifest::{Descriptor, Index, Manifest, RawManifest, media_type},
    reference::ManifestName,
    signature::LookedAt,
    store::{self, Store, StoreError},
};
use ebhost_limits as limits;

/// The kind of statement that says "this is signed", among others about how something was built.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<EnvelopeSignature>,
}

#[derive(Deserialize)]
struct EnvelopeSignature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: SubjectDigest,
}

#[derive(Deserialize)]
struct SubjectDigest {
    sha256: Option<String>,
}

/// Looks for a bundle by one of the keys for the digest.
pub(crate) fn verify<'k>(
    store: &dyn Store,
    digest: OciDigest,
    keys: &'k [PublicKey],
    looked_at: &mut LookedAt,
) -> Result<Option<&'k PublicKey>, StoreError> {
    for (_, manifest) in referrers(store, digest)? {
        let bundles = manifest.layers.iter().filter(|layer| layer.media_type == media_type::SIGSTORE_BUNDLE);
        for layer in bundles.take(limits::SIGNATURES) {
            looked_at.signatures += 1;
            let bytes = store::small_blob(store, layer)?;
            let Some((key, signed)) = signed(&bytes, keys) else { continue };
            if signed.contains(&digest) {
                return Ok(Some(key));
            }
            looked_at.other_digest = signed.into_iter().next();
        }
    }
    Ok(None)
}

/// The key that signed a bundle, and the digests that it is a signature of.
fn signed<'k>(bundle: &[u8], keys: &'k [PublicKey]) -> Option<(&'k PublicKey, Vec<OciDigest>)> {
    let envelope = serde_json::from_slice::<Bundle>(bundle).ok()?.dsse_envelope;
    let payload = STANDARD.decode(&envelope.payload).ok()?;
    let message = pre_authentication(&envelope.payload_type, &payload);
    let signatures = envelope
        .signatures
        .iter()
        .take(limits::SIGNATURES)
        .filter_map(|signature| STANDARD.decode(&signature.sig).ok());
    let key =
        signatures.into_iter().find_map(|signature| keys.iter().find(|key| key.has_signed(&message, &signature)))?;
    if envelope.payload_type != PAYLOAD_TYPE {
        return None;
    }
    let statement = serde_json::from_slice::<Statement>(&payload).ok()?;
    if statement.predicate_type != SIGNED {
        return None;
    }
    let digests =
        statement.subject.into_iter().filter_map(|subject| format!("sha256:{}", subject.digest.sha256?).parse().ok());
    Some((key, digests.collect()))
}

/// DSSE's pre-authentication encoding: the bytes that are signed.
fn pre_authentication(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// The manifests that refer to a digest.
fn referrers(store: &dyn Store, digest: OciDigest) -> Result<Vec<(RawManifest, Manifest)>, StoreError> {
    let listed = match store.referrers(digest)? {
        Some(listed) => Some(listed),
        None => store::manifest(store, &ManifestName::Tag(digest.referrers_tag()))?,
    };
    let Some(raw) = listed else { return Ok(Vec::new()) };
    let Ok(index) = serde_json::from_slice::<Index>(&raw.bytes) else { return Ok(Vec::new()) };
    let mut manifests = Vec::new();
    for descriptor in index.manifests.iter().take(limits::SIGNATURES) {
        let raw = store::manifest(store, &ManifestName::Digest(descriptor.digest))?;
        let parsed = raw.and_then(|raw| Some((serde_json::from_slice::<Manifest>(&raw.bytes).ok()?, raw)));
        manifests.extend(parsed.map(|(manifest, raw)| (raw, manifest)));
    }
    Ok(manifests)
}

/// Copies the bundles of a digest, beside what refers to it already.
pub(crate) fn copy(from: &dyn Store, to: &dyn Store, digest: OciDigest) -> Result<(), StoreError> {
    let is_bundle = |layer: &Descriptor| layer.media_type == media_type::SIGSTORE_BUNDLE;
    let mut copied = Vec::new();
    for (raw, manifest) in referrers(from, digest)? {
        if !manifest.layers.iter().any(is_bundle) {
            continue;
        }
        for blob in manifest.layers.iter().take(limits::SIGNATURES).chain([&manifest.config]) {
            to.put_blob(&store::small_blob(from, blob)?)?;
        }
        to.put_manifest(&raw, &ManifestName::Digest(raw.digest()))?;
        let descriptor = Descriptor::of(&raw.bytes, media_type::MANIFEST);
        copied.push(Descriptor { artifact_type: manifest.artifact_type, ..descriptor });
    }
    if copied.is_empty() {
        return Ok(());
    }
    let tag = ManifestName::Tag(digest.referrers_tag());
    let there = store::manifest(to, &tag)?.and_then(|raw| serde_json::from_slice::<Index>(&raw.bytes).ok());
    let mut manifests = there.map(|index| index.manifests).unwrap_or_default();
    for descriptor in copied {
        if !manifests.iter().any(|other| other.digest == descriptor.digest) {
            manifests.push(descriptor);
        }
    }
    let index = Index { schema_version: 2, media_type: Some(media_type::INDEX.to_owned()), manifests };
    let raw =
        RawManifest { bytes: serde_json::to_vec(&index).unwrap_or_default(), media_type: media_type::INDEX.to_owned() };
    to.put_manifest(&raw, &tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of DSSE's specification.
    #[test]
    fn the_signed_bytes_are_those_of_the_specification() {
        let bytes = pre_authentication("http://example.com/HelloWorld", b"hello world");
        assert_eq!(bytes, b"DSSEv1 29 http://example.com/HelloWorld 11 hello world");
    }
}
