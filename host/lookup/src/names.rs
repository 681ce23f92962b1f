//! The names that are kept, and how many bytes they take.

use std::collections::HashMap;

use crate::{Found, Question};

/// A name that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: Option<String>,
    pub(crate) is_gone: bool,
}

impl Name {
    /// `None`: there is no answer yet.
    pub(crate) fn new(found: Found) -> Option<Self> {
        match found {
            Found::Name(text) => Some(Self { text: Some(text), is_gone: false }),
            Found::Gone(text) => Some(Self { text: Some(text), is_gone: true }),
            Found::Unknown => Some(Self { text: None, is_gone: false }),
            Found::NotYet => None,
        }
    }

    /// The same name, or the one that it is replaced by. A name is not lost when what it named is gone.
    pub(crate) fn updated(&self, found: Found) -> Self {
        match Self::new(found) {
            Some(Self { text: None, .. }) => Self { is_gone: self.text.is_some(), ..self.clone() },
            Some(name) => name,
            None => self.clone(),
        }
    }

    fn bytes(&self) -> usize {
        self.text.as_ref().map_or(0, String::len)
    }
}

/// Names by their questions. What it counts is texts and keys: a stack's text may have kilobytes, and everything else is bounded by the
/// number of series.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_question: HashMap<Question, Name>,
    bytes: usize,
}

impl Names {
    pub(crate) fn get(&self, question: &Question) -> Option<&Name> {
        self.by_question.get(question)
    }

    pub(crate) fn insert(&mut self, question: Question, name: Name) {
        self.bytes += question.1.len() + name.bytes();
        if let Some(previous) = self.by_question.insert(question, name) {
            self.bytes -= previous.bytes();
        }
    }

    /// Every question with its name, which `change` may replace.
    pub(crate) fn update_all(&mut self, mut change: impl FnMut(&Question, &mut Name)) {
        for (question, name) in &mut self.by_question {
            let before = name.bytes();
            change(question, name);
            self.bytes = self.bytes - before + name.bytes();
        }
    }

    /// The same for one question, if its name is kept.
    pub(crate) fn update(&mut self, question: &Question, change: impl FnOnce(&mut Name)) {
        if let Some(name) = self.by_question.get_mut(question) {
            let before = name.bytes();
            change(name);
            self.bytes = self.bytes - before + name.bytes();
        }
    }

    pub(crate) fn retain(&mut self, is_needed: impl Fn(&Question) -> bool) {
        let mut dropped = 0;
        self.by_question.retain(|question, name| {
            let is_needed = is_needed(question);
            dropped += if is_needed { 0 } else { question.1.len() + name.bytes() };
            is_needed
        });
        self.bytes -= dropped;
    }

    pub(crate) fn len(&self) -> usize {
        self.by_question.len()
    }

    /// Bytes of all texts and keys.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LookupTable;

    #[test]
    fn bytes_are_those_of_the_names_that_are_kept() {
        let mut names = Names::default();
        let question = |key: &[u8]| -> Question { (LookupTable::ALL[0], key.into()) };
        let name = |text: &str| Name { text: Some(text.to_owned()), is_gone: false };
        names.insert(question(b"1234"), name("sda"));
        names.insert(question(b"12"), Name { text: None, is_gone: false });
        assert_eq!(names.bytes(), 9);
        names.insert(question(b"34"), name("a"));
        names.update(&question(b"34"), |kept| *kept = name("nvme0n1"));
        assert_eq!(names.bytes(), 18);
        names.update_all(|_, kept| *kept = name("x"));
        assert_eq!(names.bytes(), 11);
        names.retain(|question| question.1.len() == 4);
        assert_eq!((names.bytes(), names.len()), (5, 1));
    }
}
