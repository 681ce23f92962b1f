//! Containers and pods by the path of their cgroup.
//!
//! The path tells the id; the names are in the files of the container runtime or of the kubelet, which are read once for each container, when it is
//! first asked about. No server is asked, neither Kubernetes' nor the runtime's.
//!
//! A runtime may create the cgroup before the file. So a container without a name is asked about again in a few collections, while its counts
//! wait; after that its label is the beginning of its id.

mod path;
mod state;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use ebhost_limits as limits;

use super::{Freshness, Source};
use crate::{Found, Roots};
pub use path::container_id;
use path::{ContainerRef, Membership};
use state::{ContainerNames, Search};

/// Digits of an id that stand for a container without a name, as in `docker ps`.
const SHORT_ID: usize = 12;

/// A name that a cgroup has from its container.
#[derive(Debug, Clone, Copy)]
pub(crate) enum ContainerLabel {
    Container,
    Pod,
    Namespace,
    PodUid,
}

#[derive(Debug)]
pub(crate) struct Containers {
    root: PathBuf,
    /// The names that were found, by the container's id, or by the pod's uid for what is in no container.
    names: HashMap<String, ContainerNames>,
    /// Containers whose names were not found, with the collection in which they were first asked about.
    missing: HashMap<String, u64>,
    /// The number of the collection, from 0.
    collection: u64,
    warning: Option<String>,
    has_warned: bool,
}

/// Whether more of a container's names may still come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// It runs: its runtime may write them yet.
    Waits,
    /// It is gone.
    Ends,
}

impl Containers {
    /// The name of the container of the cgroup with this path, or of its pod; empty if it is in none.
    pub(crate) fn name(&mut self, cgroup: Found, label: ContainerLabel) -> Found {
        match cgroup {
            Found::Name(path) => self.of_path(&path, label, Patience::Waits).map_or(Found::NotYet, Found::Name),
            Found::Gone(path) => Found::Gone(self.of_path(&path, label, Patience::Ends).unwrap_or_default()),
            unknown => unknown,
        }
    }

    /// `None`: not yet.
    fn of_path(&mut self, path: &str, label: ContainerLabel, patience: Patience) -> Option<String> {
        let Some(membership) = Membership::of(path) else { return Some(String::new()) };
        if let ContainerLabel::PodUid = label {
            return Some(membership.pod_uid.unwrap_or_default());
        }
        let names = self.names_of(&membership, patience)?;
        Some(match label {
            ContainerLabel::Container => names.container,
            ContainerLabel::Pod => names.pod,
            ContainerLabel::Namespace => names.namespace,
            ContainerLabel::PodUid => String::new(),
        })
    }

    fn names_of(&mut self, membership: &Membership<'_>, patience: Patience) -> Option<ContainerNames> {
        let (key, search): (&str, fn(&Path, &str) -> Search) = match (&membership.container, &membership.pod_uid) {
            (Some(ContainerRef::Name(name)), _) => {
                return Some(ContainerNames { container: name.clone(), ..ContainerNames::default() });
            }
            (Some(ContainerRef::Id(id)), _) => (id, state::of_container),
            (None, Some(uid)) => (uid, state::of_pod),
            (None, None) => return Some(ContainerNames::default()),
        };
        if let Some(names) = self.names.get(key) {
            return Some(names.clone());
        }
        let names = match search(&self.root, key) {
            Search::Found(names) => names,
            Search::NotFound if patience == Patience::Waits && self.is_awaited(key) => return None,
            Search::NotFound => self.without_name(membership),
            Search::Denied { file, error } => {
                self.warn(&format!(
                    "names of containers are missing, their labels are ids: found {}: {error}; expected to read it: try CAP_DAC_READ_SEARCH \
                     with `--capabilities.keep cap_dac_read_search`, or a restart if the folder is newer than this process",
                    file.display()
                ));
                self.without_name(membership)
            }
        };
        self.remember(key, &names);
        Some(names)
    }

    /// Whether a container's names may still come: they were first missed a few collections ago at most.
    fn is_awaited(&mut self, key: &str) -> bool {
        let collection = self.collection;
        let first = *self.missing.entry(key.to_owned()).or_insert(collection);
        collection < first + limits::CONTAINER_NAME_ATTEMPTS
    }

    /// The names of a container that no file names: those of its pod perhaps, and its id.
    fn without_name(&self, membership: &Membership<'_>) -> ContainerNames {
        let pod = membership.pod_uid.as_deref().map(|uid| state::of_pod(&self.root, uid));
        let mut names = match pod {
            Some(Search::Found(names)) => names,
            _ => ContainerNames::default(),
        };
        if let Some(ContainerRef::Id(id)) = &membership.container {
            names.container = id.get(..SHORT_ID).unwrap_or(id).to_owned();
        }
        names
    }

    fn remember(&mut self, key: &str, names: &ContainerNames) {
        self.missing.remove(key);
        if self.names.len() >= limits::CONTAINER_NAMES {
            // Those that series have are kept by their questions.
            self.names.clear();
        }
        self.names.insert(key.to_owned(), names.clone());
    }

    fn warn(&mut self, sentence: &str) {
        if !self.has_warned {
            self.has_warned = true;
            self.warning = Some(sentence.to_owned());
        }
    }
}

impl Source for Containers {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        state::places(&roots.rootfs)
    }

    fn open(roots: &Roots) -> Self {
        Self {
            root: roots.rootfs.clone(),
            names: HashMap::new(),
            missing: HashMap::new(),
            collection: 0,
            warning: None,
            has_warned: false,
        }
    }

    /// A container's names do not change as long as it runs; that it is gone is noticed by its cgroup.
    fn refresh(&mut self) -> Freshness {
        self.collection += 1;
        if self.missing.len() > limits::CONTAINER_NAMES {
            self.missing.clear();
        }
        Freshness::Unchanged
    }

    fn warning(&mut self) -> Option<String> {
        self.warning.take()
    }
}
