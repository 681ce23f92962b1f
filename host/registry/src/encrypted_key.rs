//! Private keys as cosign encrypts them: a document in JSON that names a key derivation (scrypt), a cipher (NaCl's secretbox) and the numbers of both, in a
//! block of PEM. Inside is the same PKCS #8 that an unencrypted key has.
//!
//! Only reads. cosign makes such keys (`cosign generate-key-pair`, `cosign import-key-pair`).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use crypto_secretbox::{AeadInPlace as _, KeyInit as _, XSalsa20Poly1305};
use serde::Deserialize;

use ebhost_limits as limits;

/// The labels of the PEM block: the first is that of every cosign since 2.0, and 1.x wrote the second.
pub(crate) const LABELS: [&str; 2] = ["ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"];

const KDF: &str = "scrypt";
const CIPHER: &str = "nacl/secretbox";

/// Bytes of the key, the nonce and the authentication tag of a secretbox.
const KEY: usize = 32;
const NONCE: usize = 24;
const TAG: usize = 16;

/// Why an encrypted key cannot be opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OpenError {
    /// The document is another one than cosign writes; the text says what was found.
    Strange(String),
    /// The password is another one, or the document was changed: a secretbox does not tell them apart.
    Password,
}

/// The document.
#[derive(Deserialize)]
struct Sealed {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: Cost,
    salt: String,
}

/// The cost of scrypt (RFC 7914, section 2): N blocks of 128 × r bytes, p times.
#[derive(Deserialize)]
struct Cost {
    #[serde(rename = "N")]
    n: u64,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Decrypts the content of the PEM block with a password; returns PKCS #8 in DER.
///
/// # Errors
/// The password is another one, or the document is none that cosign writes.
pub(crate) fn open(document: &[u8], password: &[u8]) -> Result<Vec<u8>, OpenError> {
    let strange = |found: String| OpenError::Strange(found);
    let sealed: Sealed = serde_json::from_slice(document)
        .map_err(|error| strange(format!("an encrypted key without the parts that cosign gives it ({error})")))?;
    if (sealed.kdf.name.as_str(), sealed.cipher.name.as_str()) != (KDF, CIPHER) {
        let (kdf, cipher) = (sealed.kdf.name.escape_debug(), sealed.cipher.name.escape_debug());
        return Err(strange(format!("a key encrypted by `{cipher}` with `{kdf}`, not by `{CIPHER}` with `{KDF}`")));
    }
    let bytes = |name: &str, text: &str| {
        STANDARD.decode(text).map_err(|_| strange(format!("an encrypted key whose `{name}` is no base64")))
    };
    let nonce: [u8; NONCE] = bytes("nonce", &sealed.cipher.nonce)?
        .try_into()
        .map_err(|nonce: Vec<u8>| strange(format!("an encrypted key with a nonce of {} bytes", nonce.len())))?;
    let mut ciphertext = bytes("ciphertext", &sealed.ciphertext)?;
    if ciphertext.len() < TAG {
        return Err(strange(format!("an encrypted key of {} bytes", ciphertext.len())));
    }
    let cost =
        sealed.kdf.params.checked().ok_or_else(|| strange("an encrypted key that takes too much to open".into()))?;
    let mut key = [0; KEY];
    scrypt::scrypt(password, &bytes("salt", &sealed.kdf.salt)?, &cost, &mut key)
        .map_err(|error| strange(format!("an encrypted key with parameters that scrypt refuses ({error})")))?;
    let (tag, text) = ciphertext.split_at_mut(TAG);
    let tag: [u8; TAG] = (&*tag).try_into().map_err(|_| OpenError::Password)?;
    let opened = XSalsa20Poly1305::new(&key.into()).decrypt_in_place_detached(&nonce.into(), b"", text, &tag.into());
    opened.map_err(|_| OpenError::Password)?;
    Ok(text.to_vec())
}

impl Cost {
    /// The parameters, if they are within [`limits::KEY_DERIVATION_BYTES`].
    fn checked(&self) -> Option<scrypt::Params> {
        let bytes = [self.n, self.r.into(), self.p.into()].into_iter().try_fold(128, u64::checked_mul)?;
        if !self.n.is_power_of_two() || bytes > limits::KEY_DERIVATION_BYTES {
            return None;
        }
        scrypt::Params::new(u8::try_from(self.n.ilog2()).ok()?, self.r, self.p, KEY).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `cosign generate-key-pair` of Debian (2.5) with the password `pass phrase`, for this test.
    const DOCUMENT: &str = r#"{"kdf":{"name":"scrypt","params":{"N":65536,"r":8,"p":1},"salt":"XAET9qpgjotFtVjteJdqJxZHzpnj0llj2gtiUnRWNRk="},"cipher":{"name":"nacl/secretbox","nonce":"eLZevFBArV18GQzSUPkXqi9YKS427BeA"},"ciphertext":"6zLE9wVSx8aCx7Gtgzu3r1ypG83Ze0rL4LXzt93hHyEMqJGmO2qbmmi84e0hqSRJikpVuwivSOHVjdz48QXVBY93KxHxyunUE2DftkCfoF0+zjH1N8FF4/4ANJgKvEbXThSY4EcS9C+kB+f6J/9sIqC037E4pYPfjd3/ciOTzjlz7JoinUmuoEGdDMGCWrnD5X25/nOPLoFgtQ=="}"#;

    #[test]
    fn a_key_of_cosign_is_opened_by_its_password_alone() {
        let opened = open(DOCUMENT.as_bytes(), b"pass phrase").unwrap();
        // PKCS #8: a sequence with version 0 and the algorithm ecPublicKey.
        assert_eq!((opened.len(), &opened[..6]), (138, &[0x30, 0x81, 0x87, 2, 1, 0][..]));
        for wrong in ["", "pass phrase\n", "Pass phrase"] {
            assert_eq!(open(DOCUMENT.as_bytes(), wrong.as_bytes()), Err(OpenError::Password), "{wrong:?}");
        }
        let changed = DOCUMENT.replace("6zLE9", "7zLE9");
        assert_eq!(open(changed.as_bytes(), b"pass phrase"), Err(OpenError::Password));
    }

    #[test]
    fn a_key_that_would_take_all_memory_or_all_day_to_open_is_refused() {
        for cost in [
            r#""N":1073741824,"r":8,"p":1"#,
            r#""N":65536,"r":8,"p":1000000"#,
            r#""N":65535,"r":8,"p":1"#,
            r#""N":0,"r":8,"p":1"#,
            r#""N":65536,"r":0,"p":1"#,
            r#""N":18446744073709551615,"r":4294967295,"p":4294967295"#,
        ] {
            let document = DOCUMENT.replace(r#""N":65536,"r":8,"p":1"#, cost);
            let expected = OpenError::Strange("an encrypted key that takes too much to open".into());
            assert_eq!(open(document.as_bytes(), b"pass phrase"), Err(expected), "{cost}");
        }
    }

    #[test]
    fn a_document_of_another_kind_is_named() {
        for (part, with, found) in [
            ("nacl/secretbox", "aes", "a key encrypted by `aes` with `scrypt`"),
            ("\"scrypt\"", "\"argon2\"", "with `argon2`"),
            ("eLZevFBArV18GQzSUPkXqi9YKS427BeA", "eLZe", "a nonce of 3 bytes"),
            ("eLZe", "####", "`nonce` is no base64"),
            ("\"ciphertext\":", "\"text\":", "missing field `ciphertext`"),
        ] {
            match open(DOCUMENT.replacen(part, with, 1).as_bytes(), b"pass phrase") {
                Err(OpenError::Strange(why)) => assert!(why.contains(found), "{why}"),
                other => panic!("{with}: {other:?}"),
            }
        }
    }
}
