//! Keys for signatures: ECDSA on the curve P-256 with SHA-256, as `cosign generate-key-pair` makes them.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use ring::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
    },
};

use crate::encrypted_key::{self, OpenError};
use ebhost_limits as limits;

/// Everything of a `SubjectPublicKeyInfo` of this kind before the point: DER leaves no choice.
const PUBLIC_KEY_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Bytes of an uncompressed point.
const POINT: usize = 65;

/// How to make a key pair, for messages.
const HOW: &str =
    "a key of ECDSA on P-256, as `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes it";

/// A public key, and the file that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    pub path: PathBuf,
    point: [u8; POINT],
}

/// A private key.
pub struct SigningKey {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path}: cannot be read: {source}; it is named as a key")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: found {found}, expected {expected}")]
    Strange { path: PathBuf, found: String, expected: String },
    #[error("{path}: found an encrypted key and no password for it: {source}; set $COSIGN_PASSWORD")]
    NoPassword { path: PathBuf, source: io::Error },
    #[error(
        "{path}: found a password that does not open the key, expected the one that it was encrypted with: in $COSIGN_PASSWORD, or typed or piped if \
         that is not set"
    )]
    WrongPassword { path: PathBuf },
    #[error("signing failed: the system gave no random numbers")]
    Signing,
}

impl PublicKey {
    /// Reads a public key in PEM.
    ///
    /// # Errors
    /// The file cannot be read, or is of another kind.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let (label, der) = read_pem(path)?;
        let strange = |found: String| strange(path, found, "public key");
        if label != "PUBLIC KEY" {
            return Err(strange(format!("`{label}`")));
        }
        let Some(point) = der.strip_prefix(&PUBLIC_KEY_PREFIX) else {
            return Err(strange("a key of another kind".to_owned()));
        };
        let point = point.try_into().map_err(|_| strange(format!("a point of {} bytes", point.len())))?;
        Ok(Self { path: path.to_owned(), point })
    }

    /// Whether this key has signed the message.
    pub fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point[..]).verify(message, signature).is_ok()
    }
}

impl SigningKey {
    /// Reads a private key: PKCS #8 in PEM, or the same as cosign encrypts it. Only for an encrypted one `password` is called.
    ///
    /// # Errors
    /// The file cannot be read or is of another kind, or the password does not open it.
    pub fn read(path: &Path, password: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<Self, KeyError> {
        let (label, bytes) = read_pem(path)?;
        let der = match label.as_str() {
            "PRIVATE KEY" => bytes,
            label if encrypted_key::LABELS.contains(&label) => {
                let password = password().map_err(|source| KeyError::NoPassword { path: path.to_owned(), source })?;
                encrypted_key::open(&bytes, &password).map_err(|error| match error {
                    OpenError::Strange(found) => strange(path, found, "private key"),
                    OpenError::Password => KeyError::WrongPassword { path: path.to_owned() },
                })?
            }
            "EC PRIVATE KEY" => {
                let found =
                    "a key in the form of SEC 1 (`openssl pkcs8 -topk8 -nocrypt -in KEY` converts it)".to_owned();
                return Err(strange(path, found, "private key in PKCS #8"));
            }
            _ => return Err(strange(path, format!("`{label}`"), "private key")),
        };
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &random);
        let pair =
            pair.map_err(|rejected| strange(path, format!("a key of another kind ({rejected})"), "private key"))?;
        Ok(Self { pair, random })
    }

    /// A signature in DER.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let signature = self.pair.sign(&self.random, message).map_err(|_| KeyError::Signing)?;
        Ok(signature.as_ref().to_vec())
    }

    /// Whether the signature is of this key.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, self.pair.public_key()).verify(message, signature).is_ok()
    }
}

fn strange(path: &Path, found: String, what: &str) -> KeyError {
    KeyError::Strange { path: path.to_owned(), found, expected: format!("a {what}: {HOW}") }
}

/// Label and content of the first block of a PEM file.
fn read_pem(path: &Path) -> Result<(String, Vec<u8>), KeyError> {
    let unreadable = |source| KeyError::Unreadable { path: path.to_owned(), source };
    let size = fs::metadata(path).map_err(unreadable)?.len();
    if size > limits::REGISTRY_FILE_BYTES {
        return Err(strange(path, format!("{size} bytes"), "key in PEM"));
    }
    let text = fs::read_to_string(path).map_err(unreadable)?;
    pem(&text).ok_or_else(|| strange(path, "no PEM".to_owned(), "key in PEM"))
}

fn pem(text: &str) -> Option<(String, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {label}-----"))?;
    let body: String = body.split_whitespace().collect();
    Some((label.to_owned(), STANDARD.decode(body).ok()?))
}
