//! Patterns of repositories: one, or all below a path.

use std::fmt;

use crate::reference::{Repository, is_path_name, is_registry};

/// A repository, or every repository below a path (`…/*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Everything,
    Below(String),
    Exactly(String),
}

impl Pattern {
    /// A pattern of a policy file; none: the text is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (path, is_prefix) = text.strip_suffix("/*").map_or((text, false), |path| (path, true));
        let mut names = path.split('/');
        let is_sound = names.next().is_some_and(is_registry) && names.clone().all(is_path_name);
        match (is_sound, is_prefix, names.next()) {
            (true, true, _) => Some(Self::Below(path.to_owned())),
            (true, false, Some(_)) => Some(Self::Exactly(path.to_owned())),
            _ => None,
        }
    }

    /// Whether a repository is one of them.
    pub(crate) fn matches(&self, repository: &Repository) -> bool {
        let whole = repository.to_string();
        match self {
            Self::Everything => true,
            Self::Below(path) => whole.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')),
            Self::Exactly(path) => whole == *path,
        }
    }

    /// Longer ones say more; of two equal ones the exact one does.
    pub(crate) fn length(&self) -> (usize, bool) {
        match self {
            Self::Everything => (0, false),
            Self::Below(path) => (path.len(), false),
            Self::Exactly(path) => (path.len(), true),
        }
    }

    /// The repository in the place of which a mirror has it at `at`.
    pub(crate) fn moved(&self, repository: &Repository, at: &str) -> Option<Repository> {
        let whole = repository.to_string();
        match self {
            Self::Below(path) => format!("{at}{}", whole.strip_prefix(path)?).parse().ok(),
            Self::Exactly(_) | Self::Everything => at.parse().ok(),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("anywhere"),
            Self::Below(path) => write!(f, "{path}/*"),
            Self::Exactly(path) => f.write_str(path),
        }
    }
}
