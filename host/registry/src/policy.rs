//! The operator's policy: which repositories are trusted, by whose keys, and which packages may bring code for the kernel.
//!
//! ```yaml
//! rules:
//!   - { repository: ghcr.io/acme/*, keys: [acme.pub], bpf: true }
//!   - { repository: registry.lab:5000/tests/*, unsigned: true, packages: [trial] }
//! mirrors:
//!   - { for: ghcr.io/acme/*, use: [mirror.lab:5000/acme] }
//! ```
//!
//! The rule with the longest path decides; a repository without a rule is refused. There is no default that trusts anybody.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::{
    keys::{KeyError, PublicKey},
    pattern::Pattern,
    reference::{Repository, is_registry},
    write::parent,
};
use ebhost_limits as limits;
use ebhost_package::Package;

/// Where the policy is unless a flag says otherwise.
pub const POLICY_FILE: &str = "/etc/ebhost/policy.yaml";

/// The rules.
#[derive(Debug)]
pub struct Policy {
    /// The file; none: the command line.
    path: Option<PathBuf>,
    rules: Vec<Rule>,
    mirrors: Vec<Mirror>,
}

/// The trust in some repositories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pattern: Pattern,
    /// Keys, one of which has to have signed; none: an artifact may be unsigned.
    pub keys: Option<Vec<PublicKey>>,
    bpf: Bpf,
    /// Names of packages; none: any.
    packages: Option<Vec<String>>,
}

/// Whether packages may bring BPF objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bpf {
    Allowed,
    Refused,
}

#[derive(Debug)]
struct Mirror {
    of: Pattern,
    at: Vec<String>,
}

/// Why there is no policy, or what it refuses.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    #[error("{path}: cannot be read: {source}; --policy names it")]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{path}: found {found}, expected {expected}")]
    Malformed { path: PathBuf, found: String, expected: &'static str },
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(
        "found no policy at {POLICY_FILE} and no --key: whose signature is trusted? Try `--key PUBLIC_KEY`, write a policy, or, for tests, --allow-unsigned"
    )]
    None,
    #[error("found {flag} beside the policy {path}, expected one of them: where there is a policy, it alone decides")]
    Flags { flag: &'static str, path: PathBuf },
    #[error("found no rule for {repository} in {path}, expected one of {known}; nothing is taken from elsewhere")]
    NoRule { repository: Repository, path: PathBuf, known: String },
    #[error("found the package `{name}`, expected {allowed}: {policy} allows no other from {pattern}")]
    Package { name: String, allowed: String, policy: String, pattern: String },
    #[error(
        "found a BPF object in `{name}`, expected none: {policy} lets no package from {pattern} bring code for the kernel (`bpf: true` would)"
    )]
    Bpf { name: String, policy: String, pattern: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    rules: Vec<RuleText>,
    #[serde(default)]
    mirrors: Vec<MirrorText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    repository: String,
    #[serde(default)]
    keys: Vec<PathBuf>,
    #[serde(default)]
    unsigned: bool,
    #[serde(default)]
    bpf: bool,
    packages: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MirrorText {
    r#for: String,
    r#use: Vec<String>,
}

/// The flags about trust.
#[derive(Debug, Default, Clone)]
pub struct TrustFlags {
    /// `--policy`.
    pub policy: Option<PathBuf>,
    /// `--key`, each.
    pub keys: Vec<PathBuf>,
    /// `--allow-unsigned`.
    pub allow_unsigned: bool,
}

impl Policy {
    /// The policy file, if there is one; else the flags.
    ///
    /// # Errors
    /// The file or a key is not what it should be, there are flags beside a file, or there is neither.
    pub fn find(flags: &TrustFlags) -> Result<Self, PolicyError> {
        let file = flags.policy.clone().or_else(|| Path::new(POLICY_FILE).exists().then(|| POLICY_FILE.into()));
        let flag =
            if flags.keys.is_empty() { flags.allow_unsigned.then_some("--allow-unsigned") } else { Some("--key") };
        match (file, flag) {
            (Some(path), Some(flag)) => Err(PolicyError::Flags { flag, path }),
            (Some(path), None) => Self::read(&path),
            (None, None) => Err(PolicyError::None),
            (None, Some(_)) => {
                let keys = flags.keys.iter().map(|path| PublicKey::read(path)).collect::<Result<Vec<_>, _>>()?;
                let keys = (!keys.is_empty()).then_some(keys);
                let rule = Rule { pattern: Pattern::Everything, keys, bpf: Bpf::Allowed, packages: None };
                Ok(Self { path: None, rules: vec![rule], mirrors: Vec::new() })
            }
        }
    }

    /// Reads a policy. Paths of keys begin at its folder.
    ///
    /// # Errors
    /// The file or a key is not what it should be.
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        let unreadable = |source| PolicyError::Unreadable { path: path.to_owned(), source };
        let size = fs::metadata(path).map_err(unreadable)?.len();
        if size > limits::REGISTRY_FILE_BYTES {
            return Err(unreadable(io::Error::other(format!(
                "found {size} bytes, expected at most {}",
                limits::REGISTRY_FILE_BYTES
            ))));
        }
        let text = fs::read_to_string(path).map_err(unreadable)?;
        let file: File = serde_yaml::from_str(&text).map_err(|error| PolicyError::Malformed {
            path: path.to_owned(),
            found: error.to_string(),
            expected: "`rules`, each with repository, keys or `unsigned: true`, bpf, packages; and `mirrors`, each with for and use",
        })?;
        let rules = file.rules.into_iter().map(|rule| rule.check(path)).collect::<Result<_, _>>()?;
        let mirrors = file.mirrors.into_iter().map(|mirror| mirror.check(path)).collect::<Result<_, _>>()?;
        Ok(Self { path: Some(path.to_owned()), rules, mirrors })
    }

    /// The rule for a repository.
    ///
    /// # Errors
    /// There is none.
    pub fn rule_for(&self, repository: &Repository) -> Result<&Rule, PolicyError> {
        let matching = self.rules.iter().filter(|rule| rule.pattern.matches(repository));
        matching.max_by_key(|rule| rule.pattern.length()).ok_or_else(|| {
            let known: Vec<_> = self.rules.iter().map(|rule| rule.pattern.to_string()).collect();
            PolicyError::NoRule {
                repository: repository.clone(),
                path: self.path.clone().unwrap_or_default(),
                known: if known.is_empty() { "none: it has no rules".to_owned() } else { known.join(", ") },
            }
        })
    }

    /// Refuses a package that the rule does not allow.
    ///
    /// # Errors
    /// Another package, or BPF where none is allowed.
    pub fn check(&self, rule: &Rule, package: &Package) -> Result<(), PolicyError> {
        let (name, policy, pattern) = (package.name.clone(), self.name(), rule.pattern.to_string());
        if let Some(allowed) = rule.packages.as_ref().filter(|allowed| !allowed.contains(&name)) {
            return Err(PolicyError::Package { name, allowed: allowed.join(" or "), policy, pattern });
        }
        match rule.bpf {
            Bpf::Refused if package.bpf.is_some() => Err(PolicyError::Bpf { name, policy, pattern }),
            _ => Ok(()),
        }
    }

    /// Where to look for a repository before it is asked itself.
    pub fn mirrors_of(&self, repository: &Repository) -> Vec<Repository> {
        let matching = self.mirrors.iter().filter(|mirror| mirror.of.matches(repository));
        let Some(mirror) = matching.max_by_key(|mirror| mirror.of.length()) else { return Vec::new() };
        mirror.at.iter().filter_map(|at| mirror.of.moved(repository, at)).collect()
    }

    /// Its name in messages.
    pub fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "the command line".to_owned(), |path| path.display().to_string())
    }
}

impl RuleText {
    fn check(self, policy: &Path) -> Result<Rule, PolicyError> {
        let malformed = |found: String, expected| PolicyError::Malformed { path: policy.to_owned(), found, expected };
        let pattern = parse(&self.repository, policy)?;
        let keys = match (self.keys.is_empty(), self.unsigned) {
            (false, false) => {
                let keys = self.keys.iter().map(|key| PublicKey::read(&parent(policy).join(key)));
                Some(keys.collect::<Result<Vec<_>, _>>()?)
            }
            (true, true) => None,
            (true, false) => {
                return Err(malformed(
                    format!("no keys for {}", self.repository),
                    "`keys: [FILE]`, or `unsigned: true` if nobody signs",
                ));
            }
            (false, true) => {
                return Err(malformed(format!("keys and `unsigned: true` for {}", self.repository), "one of the two"));
            }
        };
        let bpf = if self.bpf { Bpf::Allowed } else { Bpf::Refused };
        Ok(Rule { pattern, keys, bpf, packages: self.packages })
    }
}

impl MirrorText {
    fn check(self, policy: &Path) -> Result<Mirror, PolicyError> {
        let of = parse(&self.r#for, policy)?;
        let at = self.r#use.into_iter().map(|at| match Pattern::parse(&at) {
            Some(Pattern::Exactly(at)) => Ok(at),
            _ if is_registry(&at) => Ok(at),
            _ => Err(PolicyError::Malformed {
                path: policy.to_owned(),
                found: format!("the mirror `{at}`"),
                expected: "HOST[:PORT][/PATH]",
            }),
        });
        Ok(Mirror { of, at: at.collect::<Result<_, _>>()? })
    }
}

fn parse(text: &str, policy: &Path) -> Result<Pattern, PolicyError> {
    Pattern::parse(text).ok_or_else(|| PolicyError::Malformed {
        path: policy.to_owned(),
        found: format!("the repository `{text}`"),
        expected: "HOST[:PORT]/PATH, or HOST[:PORT]/* for everything below it",
    })
}

#[cfg(test)]
mod tests;
