//! Entries in the order in which they were last seen: a doubly linked list through columns.

use crate::labels::identities::NONE;

/// The order of entries by the time when each was last seen.
#[derive(Debug)]
pub(crate) struct Recency {
    /// By entry.
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
}

#[derive(Debug, Clone, Copy)]
struct Link {
    older: u32,
    newer: u32,
    /// In seconds since 1970.
    seen: f64,
    is_listed: bool,
}

const UNLISTED: Link = Link { older: NONE, newer: NONE, seen: 0.0, is_listed: false };

impl Default for Recency {
    fn default() -> Self {
        Self { links: Vec::new(), oldest: NONE, newest: NONE }
    }
}

impl Recency {
    /// Makes an entry the one that was seen last.
    pub(crate) fn touch(&mut self, entry: u32, seen: f64) {
        if entry as usize >= self.links.len() {
            self.links.resize(entry as usize + 1, UNLISTED);
        }
        self.remove(entry);
        let older = std::mem::replace(&mut self.newest, entry);
        self.links[entry as usize] = Link { older, newer: NONE, seen, is_listed: true };
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = entry,
            None => self.oldest = entry,
        }
    }

    /// Takes an entry off the list.
    pub(crate) fn remove(&mut self, entry: u32) {
        let Some(link) = self.links.get_mut(entry as usize) else { return };
        let Link { older, newer, is_listed, .. } = std::mem::replace(link, UNLISTED);
        if !is_listed {
            return;
        }
        match self.links.get_mut(older as usize) {
            Some(link) => link.newer = newer,
            None => self.oldest = newer,
        }
        match self.links.get_mut(newer as usize) {
            Some(link) => link.older = older,
            None => self.newest = older,
        }
    }

    /// The entry that was seen least recently.
    pub(crate) fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// When a listed entry was last seen.
    pub(crate) fn seen(&self, entry: u32) -> f64 {
        self.links[entry as usize].seen
    }

    /// All entries, the least recently seen first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> {
        std::iter::successors(self.oldest(), |&entry| {
            let newer = self.links[entry as usize].newer;
            (newer != NONE).then_some(newer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_listed_by_when_they_were_last_seen() {
        let mut recency = Recency::default();
        assert_eq!(recency.oldest(), None);
        for (second, entry) in [2, 0, 1, 2, 0].into_iter().enumerate() {
            recency.touch(entry, second as f64);
        }
        assert_eq!(recency.iter().collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!((recency.seen(1), recency.seen(0)), (2.0, 4.0));
        recency.remove(2);
        recency.remove(2);
        assert_eq!(recency.iter().collect::<Vec<_>>(), [1, 0]);
        recency.remove(0);
        recency.remove(1);
        assert_eq!(recency.oldest(), None);
        recency.touch(3, 9.0);
        assert_eq!(recency.oldest(), Some(3));
    }
}
