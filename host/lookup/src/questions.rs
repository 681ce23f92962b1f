//! Sets of questions.

use std::collections::{HashMap, HashSet};

use crate::{LookupTable, Question};

/// A set of [`Question`]s that borrowed keys can be looked up in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QuestionSet {
    /// No set in it is empty.
    keys: HashMap<LookupTable, HashSet<Box<[u8]>>>,
}

impl QuestionSet {
    pub fn insert(&mut self, table: LookupTable, key: Box<[u8]>) {
        self.keys.entry(table).or_default().insert(key);
    }

    pub fn contains(&self, table: LookupTable, key: &[u8]) -> bool {
        self.keys.get(&table).is_some_and(|keys| keys.contains(key))
    }

    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub fn len(&self) -> usize {
        self.keys.values().map(HashSet::len).sum()
    }

    /// Adds all of `more`.
    pub fn extend(&mut self, more: &Self) {
        for (table, keys) in &more.keys {
            self.keys.entry(*table).or_default().extend(keys.iter().cloned());
        }
    }

    /// Keeps the questions that `is_kept` accepts.
    pub fn retain(&mut self, is_kept: impl Fn(&Question) -> bool) {
        for (table, keys) in &mut self.keys {
            keys.retain(|key| is_kept(&(*table, key.clone())));
        }
        self.keys.retain(|_, keys| !keys.is_empty());
    }

    pub fn clear(&mut self) {
        self.keys.clear();
    }
}

impl FromIterator<Question> for QuestionSet {
    fn from_iter<I: IntoIterator<Item = Question>>(questions: I) -> Self {
        let mut set = Self::default();
        questions.into_iter().for_each(|(table, key)| set.insert(table, key));
        set
    }
}
