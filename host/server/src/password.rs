//! Basic authentication: a password is checked against its bcrypt hash once, and from then on against a keyed digest.
//!
//! bcrypt is slow on purpose, so that few checks run at a time, on threads that serve nothing else. An unknown user takes as long as a
//! wrong password. Wrong passwords are not remembered.

use std::{
    collections::{BTreeMap, HashSet},
    fs::File,
    io::Read as _,
    sync::{Mutex, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use foldhash::fast::RandomState;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use ebhost_limits as limits;

/// The hash that is checked for an unknown user: bcrypt of a random word, at the default cost.
const UNKNOWN_USER: &str = "$2b$10$abcdefghijklmnopqrstuu1Hi2nne3BqpEPAdhx.OdFY9YcQ6GOxy";

/// The bcrypt hash of each user.
pub(super) type Users = BTreeMap<String, String>;

/// Checks passwords and remembers the right ones.
#[derive(Debug)]
pub(super) struct Passwords {
    key: [u8; 32],
    verified: Mutex<HashSet<[u8; 32], RandomState>>,
    checks: Semaphore,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without /dev/urandom the digests have no key, but they never leave the process.
        let _ = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key));
        Self { key, verified: Mutex::default(), checks: Semaphore::new(limits::PASSWORD_CHECKS) }
    }

    /// Whether an `Authorization` header names one of the users and its password.
    pub(super) async fn admit(&self, users: &Users, authorization: Option<&str>) -> bool {
        let Some((user, password)) = authorization.and_then(credentials) else { return false };
        let known = users.get(&user);
        let hash = known.map_or(UNKNOWN_USER, String::as_str).to_owned();
        let digest = self.digest(&user, &hash, &password);
        if known.is_some() && self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest) {
            return true;
        }
        let Ok(_permit) = self.checks.acquire().await else { return false };
        let check = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let is_right = check.await.unwrap_or(false) && known.is_some();
        if is_right {
            let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
            if verified.len() >= limits::PASSWORDS_KEPT {
                verified.clear();
            }
            verified.insert(digest);
        }
        is_right
    }

    /// A digest of fixed length and with a secret key, so that the timing of a table lookup reveals nothing about a password.
    fn digest(&self, user: &str, hash: &str, password: &[u8]) -> [u8; 32] {
        let mut digest = Sha256::new_with_prefix(self.key);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

/// User and password from `Basic BASE64`.
fn credentials(authorization: &str) -> Option<(String, Vec<u8>)> {
    let (scheme, encoded) = authorization.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = BASE64_STANDARD.decode(encoded.trim()).ok()?;
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    Some((String::from_utf8(bytes[..colon].to_vec()).ok()?, bytes[colon + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(user: &str, password: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_user_comes_in() {
        let users = Users::from([("ada".to_owned(), bcrypt::hash("a:b", 4).unwrap())]);
        let passwords = Passwords::new();
        for _ in 0..2 {
            assert!(passwords.admit(&users, Some(&header("ada", "a:b"))).await, "first by bcrypt, then as remembered");
        }
        for wrong in [header("ada", "a"), header("eve", "a:b"), header("", ""), "Basic %%".into(), "Bearer x".into()] {
            assert!(!passwords.admit(&users, Some(&wrong)).await, "{wrong}");
        }
        assert!(!passwords.admit(&users, None).await);
        let changed = Users::from([("ada".to_owned(), bcrypt::hash("new", 4).unwrap())]);
        assert!(!passwords.admit(&changed, Some(&header("ada", "a:b"))).await, "a new hash ends what was remembered");
        assert!(bcrypt::verify("x", UNKNOWN_USER).is_ok(), "a hash that costs as much as any");
    }
}
