//! Basic authentication: a password is checked against its bcrypt hash once, and from then on against a keyed digest.
//!
//! bcrypt is slow on purpose, so that few checks run at a time, on threads that serve nothing else, and few requests may wait for one: of
//! one address fewer still, so that a client that guesses passwords does not fill the queue for others. A password that is remembered
//! waits for nobody. An unknown user takes as long as a wrong password.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io::Read as _,
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use foldhash::fast::RandomState;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use ebhost_limits as limits;
use ebhost_telemetry::http;

/// The hash that is checked for an unknown user: bcrypt of a random word, at the default cost.
const UNKNOWN_USER: &str = "$2b$10$abcdefghijklmnopqrstuu1Hi2nne3BqpEPAdhx.OdFY9YcQ6GOxy";

/// The bcrypt hash of each user.
pub(super) type Users = BTreeMap<String, String>;

/// The result of an authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Admitted,
    /// No credentials, or wrong ones.
    Denied,
    /// Not checked, because too many checks are waiting.
    Busy,
}

/// Checks passwords and remembers the results.
#[derive(Debug)]
pub(super) struct Passwords {
    key: [u8; 32],
    remembered: Mutex<Remembered>,
    checks: Semaphore,
    /// Requests that wait for a check, by address.
    waiting: Mutex<HashMap<Option<IpAddr>, usize, RandomState>>,
}

#[derive(Debug, Default)]
struct Remembered {
    right: HashSet<Digest, RandomState>,
    wrong: HashSet<Digest, RandomState>,
}

type Digest = [u8; 32];

/// A place in the queue of password checks, given back when it is dropped.
struct WaitingCheck<'a> {
    passwords: &'a Passwords,
    client: Option<IpAddr>,
}

impl Passwords {
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        // Without /dev/urandom the digests have no key, but they never leave the process.
        let _ = File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut key));
        let checks = Semaphore::new(limits::PASSWORD_CHECKS);
        Self { key, remembered: Mutex::default(), checks, waiting: Mutex::default() }
    }

    /// Whether an `Authorization` header, sent by `client`, names one of the users and its password.
    pub(super) async fn admit(&self, users: &Users, authorization: Option<&str>, client: Option<IpAddr>) -> Admission {
        let Some((user, password)) = authorization.and_then(credentials) else { return Admission::Denied };
        let known = users.get(&user);
        let hash = known.map_or(UNKNOWN_USER, String::as_str).to_owned();
        let digest = self.digest(&user, &hash, &password);
        if let Some(admission) = self.recall(&digest) {
            return admission;
        }
        let Some(_waiting) = self.wait_in_queue(client) else {
            http().passwords_refused.increment();
            return Admission::Busy;
        };
        let Ok(_permit) = self.checks.acquire().await else { return Admission::Denied };
        // Another request with the same password may have been checked meanwhile.
        if let Some(admission) = self.recall(&digest) {
            return admission;
        }
        let check = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false));
        let is_right = check.await.unwrap_or(false) && known.is_some();
        self.remember(digest, is_right)
    }

    fn recall(&self, digest: &Digest) -> Option<Admission> {
        let remembered = self.remembered();
        match (remembered.right.contains(digest), remembered.wrong.contains(digest)) {
            (true, _) => Some(Admission::Admitted),
            (_, true) => Some(Admission::Denied),
            _ => None,
        }
    }

    fn remember(&self, digest: Digest, is_right: bool) -> Admission {
        let mut remembered = self.remembered();
        let (counter, admission, digests) = match is_right {
            true => (&http().passwords_right, Admission::Admitted, &mut remembered.right),
            false => (&http().passwords_wrong, Admission::Denied, &mut remembered.wrong),
        };
        counter.increment();
        if digests.len() >= limits::PASSWORDS_KEPT {
            digests.clear();
        }
        digests.insert(digest);
        admission
    }

    /// A place in the queue; `None` if it is full, for all or for this client.
    fn wait_in_queue(&self, client: Option<IpAddr>) -> Option<WaitingCheck<'_>> {
        let mut waiting = self.waiting();
        let has_room = waiting.values().sum::<usize>() < limits::WAITING_PASSWORDS
            && waiting.get(&client).is_none_or(|count| *count < limits::WAITING_PASSWORDS_PER_ADDRESS);
        has_room.then(|| {
            *waiting.entry(client).or_default() += 1;
            WaitingCheck { passwords: self, client }
        })
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Option<IpAddr>, usize, RandomState>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A digest of fixed length and with a secret key, so that the timing of a table lookup reveals nothing about a password.
    fn digest(&self, user: &str, hash: &str, password: &[u8]) -> Digest {
        let mut digest = Sha256::new_with_prefix(self.key);
        for part in [user.as_bytes(), hash.as_bytes(), password] {
            digest.update((part.len() as u64).to_le_bytes());
            digest.update(part);
        }
        digest.finalize().into()
    }
}

impl Drop for WaitingCheck<'_> {
    fn drop(&mut self) {
        let mut waiting = self.passwords.waiting();
        if let Some(count) = waiting.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.client);
            }
        }
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
    use std::{sync::Arc, time::Duration};

    use super::*;

    const ATTACKER: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 9)));

    fn header(user: &str, password: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
    }

    fn ada() -> Users {
        Users::from([("ada".to_owned(), bcrypt::hash("a:b", 4).unwrap())])
    }

    #[tokio::test]
    async fn only_the_right_password_of_a_user_comes_in() {
        let users = ada();
        let passwords = Passwords::new();
        let admit = async |users: &Users, header: &str| passwords.admit(users, Some(header), None).await;
        for _ in 0..2 {
            let admission = admit(&users, &header("ada", "a:b")).await;
            assert_eq!(admission, Admission::Admitted, "first by bcrypt, then as remembered");
        }
        for wrong in [header("ada", "a"), header("eve", "a:b"), header("", ""), "Basic %%".into(), "Bearer x".into()] {
            for _ in 0..2 {
                assert_eq!(admit(&users, &wrong).await, Admission::Denied, "{wrong}");
            }
        }
        assert_eq!(passwords.admit(&users, None, None).await, Admission::Denied);
        let changed = Users::from([("ada".to_owned(), bcrypt::hash("new", 4).unwrap())]);
        let admission = admit(&changed, &header("ada", "a:b")).await;
        assert_eq!(admission, Admission::Denied, "a new hash ends what was remembered");
        assert_eq!(admit(&changed, &header("ada", "new")).await, Admission::Admitted);
        assert!(bcrypt::verify("x", UNKNOWN_USER).is_ok(), "a hash that costs as much as any");
    }

    /// Without the lengths of its parts, `ada` with `x…` would have the digest of `adax` with `…`.
    #[test]
    fn what_is_remembered_of_one_user_lets_no_other_in() {
        let passwords = Passwords::new();
        let digests = [
            passwords.digest("ada", "h", b"xsecret"),
            passwords.digest("adah", "", b"xsecret"),
            passwords.digest("ada", "hx", b"secret"),
            passwords.digest("adahx", "s", b"ecret"),
            passwords.digest("", "adah", b"xsecret"),
            Passwords::new().digest("ada", "h", b"xsecret"),
        ];
        assert_eq!(digests.iter().collect::<HashSet<_>>().len(), digests.len());
    }

    #[test]
    fn passwords_that_are_remembered_take_a_bounded_memory() {
        let passwords = Passwords::new();
        for number in 0..=limits::PASSWORDS_KEPT {
            passwords.remember(passwords.digest("eve", "h", &number.to_le_bytes()), false);
        }
        assert_eq!(passwords.remembered().wrong.len(), 1);
    }

    /// Sixteen wrong passwords a second, from 512 connections, kept everybody waiting.
    #[tokio::test]
    async fn a_client_that_guesses_passwords_keeps_no_other_out() {
        let (users, passwords) = (Arc::new(ada()), Arc::new(Passwords::new()));
        let known = header("ada", "a:b");
        assert_eq!(passwords.admit(&users, Some(&known), None).await, Admission::Admitted);
        let guesses: Vec<_> = (0..512)
            .map(|guess| {
                let (users, passwords) = (users.clone(), passwords.clone());
                tokio::spawn(async move {
                    passwords.admit(&users, Some(&header("nobody", &guess.to_string())), ATTACKER).await
                })
            })
            .collect();
        tokio::task::yield_now().await;
        // All of the guesses take half a minute and more.
        let soon = Duration::from_secs(15);
        // A remembered password waits for nobody, and one that is not for a few of the attacker's.
        let remembered = passwords.admit(&users, Some(&known), ATTACKER);
        assert_eq!(tokio::time::timeout(soon, remembered).await, Ok(Admission::Admitted));
        let first = header("ada", "not remembered");
        let checked = passwords.admit(&users, Some(&first), None);
        assert_eq!(tokio::time::timeout(soon, checked).await, Ok(Admission::Denied));
        let mut refused = 0;
        for guess in guesses {
            refused += usize::from(guess.await.unwrap() == Admission::Busy);
        }
        assert_eq!(refused, 512 - limits::WAITING_PASSWORDS_PER_ADDRESS);
        assert!(passwords.waiting().is_empty());
    }
}
