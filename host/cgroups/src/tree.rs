//! The cgroups that are known, by id: those that exist, and those that were removed, whose names are kept for a while.

use std::collections::{HashMap, VecDeque};

use ebhost_limits as limits;
use foldhash::fast::RandomState;

use crate::follow::Changed;

/// Cgroups by id, each with its parent and its name in it.
#[derive(Debug)]
pub(crate) struct Tree {
    root: u64,
    nodes: HashMap<u64, Node, RandomState>,
    /// Removed cgroups, in the order of their removal: children before their parents.
    removed: VecDeque<u64>,
    /// Cgroups that there was no room for.
    left_out: u64,
    /// The number of the walk that began last.
    walk: u32,
    /// Cgroups that were removed since this was taken.
    departed: Changed,
}

#[derive(Debug)]
struct Node {
    parent: u64,
    name: Box<str>,
    state: NodeState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NodeState {
    /// It exists; `seen` is the number of the last walk that knew of it.
    Present {
        seen: u32,
    },
    Removed,
}

impl Tree {
    /// Only the root, with its id.
    pub(crate) fn new(root: u64) -> Self {
        Self {
            root,
            nodes: HashMap::default(),
            removed: VecDeque::new(),
            left_out: 0,
            walk: 0,
            departed: Changed::Ids(Vec::new()),
        }
    }

    /// Adds a cgroup that exists. One that was removed stays so: an id is not given twice.
    pub(crate) fn insert(&mut self, id: u64, parent: u64, name: &str) {
        let seen = self.walk;
        if let Some(node) = self.nodes.get_mut(&id) {
            if let NodeState::Present { seen: last } = &mut node.state {
                *last = seen;
            }
        } else if id != self.root && self.has_room() {
            let state = NodeState::Present { seen };
            self.nodes.insert(id, Node { parent, name: name.into(), state });
        }
    }

    /// Notes the removal of a cgroup, which may not have been known.
    pub(crate) fn remove(&mut self, id: u64, parent: u64, name: &str) {
        if !self.nodes.contains_key(&id) && self.has_room() {
            let state = NodeState::Present { seen: self.walk };
            self.nodes.insert(id, Node { parent, name: name.into(), state });
        }
        self.remove_known(id);
    }

    /// Notes the removal of a cgroup.
    pub(crate) fn remove_known(&mut self, id: u64) {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.state != NodeState::Removed) else { return };
        node.state = NodeState::Removed;
        match &mut self.departed {
            Changed::Ids(ids) if ids.len() < limits::REMOVED_CGROUPS => ids.push(id),
            departed => *departed = Changed::All,
        }
        self.removed.push_back(id);
        if self.removed.len() > limits::REMOVED_CGROUPS {
            let oldest = self.removed.pop_front();
            oldest.map(|id| self.nodes.remove(&id));
        }
    }

    /// Begins a walk, which inserts every cgroup that it sees.
    pub(crate) fn begin_walk(&mut self) {
        self.walk += 1;
        self.left_out = 0;
    }

    /// Ends a complete walk: cgroups that neither it nor an event has seen since it began are gone.
    pub(crate) fn end_walk(&mut self) {
        let is_missing = |node: &Node| matches!(node.state, NodeState::Present { seen } if seen < self.walk);
        let mut missing: Vec<_> = self.nodes.iter().filter(|(_, node)| is_missing(node)).map(|(id, _)| *id).collect();
        // A child is forgotten before its parent, whose name is part of its path.
        missing.sort_by_key(|id| std::cmp::Reverse(self.depth(*id)));
        missing.into_iter().for_each(|id| self.remove_known(id));
    }

    /// The path below the root, which is `/`; `None`: the cgroup, or one above it, is not known.
    pub(crate) fn path(&self, id: u64) -> Option<String> {
        let mut names = Vec::new();
        if !self.climb(id, |name| names.push(name)) {
            return None;
        }
        let mut path = String::with_capacity(names.iter().map(|name| name.len() + 1).sum::<usize>().max(1));
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
        Some(if path.is_empty() { "/".to_owned() } else { path })
    }

    /// Whether the cgroup and all that are above it are known.
    pub(crate) fn has_path(&self, id: u64) -> bool {
        self.climb(id, |_| ())
    }

    /// Calls `each` with the names from a cgroup up to the root; false: one of them is not known.
    fn climb<'a>(&'a self, id: u64, mut each: impl FnMut(&'a str)) -> bool {
        let mut at = id;
        for _ in 0..=limits::CGROUP_DEPTH {
            if at == self.root {
                return true;
            }
            let Some(node) = self.nodes.get(&at) else { return false };
            each(&node.name);
            at = node.parent;
        }
        false
    }

    /// Whether the cgroup was there and is not any more.
    pub(crate) fn is_removed(&self, id: u64) -> bool {
        self.nodes.get(&id).is_some_and(|node| node.state == NodeState::Removed)
    }

    /// The cgroups that were removed since the last call.
    pub(crate) fn take_departed(&mut self) -> Changed {
        std::mem::replace(&mut self.departed, Changed::Ids(Vec::new()))
    }

    #[cfg(test)]
    pub(crate) fn removed_paths(&self) -> impl Iterator<Item = String> {
        self.removed.iter().filter_map(|id| self.path(*id))
    }

    /// Cgroups that exist, that were removed, and that there was no room for.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let removed = self.removed.len();
        ((self.nodes.len() - removed) as u64, removed as u64, self.left_out)
    }

    fn has_room(&mut self) -> bool {
        let has_room = self.nodes.len() < limits::KNOWN_CGROUPS;
        self.left_out += u64::from(!has_room);
        has_room
    }

    fn depth(&self, id: u64) -> usize {
        let above = |id: &u64| self.nodes.get(id).map(|node| node.parent);
        std::iter::successors(Some(id), above).take(limits::CGROUP_DEPTH).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_cgroup_keeps_its_path_although_its_parent_is_removed_too() {
        let mut tree = Tree::new(1);
        tree.insert(2, 1, "a.slice");
        tree.insert(3, 2, "b.service");
        tree.remove(3, 2, "b.service");
        tree.remove(2, 1, "a.slice");
        assert_eq!(tree.path(3).as_deref(), Some("/a.slice/b.service"));
        assert_eq!((tree.path(1).as_deref(), tree.path(9)), (Some("/"), None));
        assert!(tree.is_removed(3) && !tree.is_removed(1));
        assert_eq!((tree.take_departed(), tree.take_departed()), (Changed::Ids(vec![3, 2]), Changed::Ids(vec![])));
    }

    #[test]
    fn a_cgroup_that_came_and_went_unseen_gets_its_name_from_its_removal() {
        let mut tree = Tree::new(1);
        tree.remove(5, 4, "job");
        assert_eq!(tree.path(5), None, "its parent is not known yet");
        tree.remove(4, 1, "batch");
        assert_eq!(tree.path(5).as_deref(), Some("/batch/job"));
    }

    #[test]
    fn a_walk_ends_what_it_does_not_see_but_not_what_came_meanwhile() {
        let mut tree = Tree::new(1);
        tree.begin_walk();
        tree.insert(2, 1, "gone");
        tree.insert(3, 2, "below");
        tree.insert(4, 1, "stays");
        tree.end_walk();
        tree.begin_walk();
        tree.insert(4, 1, "stays");
        tree.insert(5, 1, "came by an event");
        tree.end_walk();
        assert_eq!(tree.take_departed(), Changed::Ids(vec![3, 2]));
        assert_eq!(tree.counts(), (2, 2, 0));
        tree.insert(2, 1, "gone");
        assert!(tree.is_removed(2), "a walk that is late does not bring it back");
    }

    #[test]
    fn the_names_of_long_removed_cgroups_are_forgotten() {
        let mut tree = Tree::new(1);
        let more = 10;
        for id in 2..2 + limits::REMOVED_CGROUPS as u64 + more {
            tree.remove(id, 1, "job");
        }
        assert_eq!(tree.counts(), (0, limits::REMOVED_CGROUPS as u64, 0));
        assert_eq!(tree.take_departed(), Changed::All);
        assert_eq!((tree.path(1 + more), tree.path(2 + more).as_deref()), (None, Some("/job")));
    }
}
