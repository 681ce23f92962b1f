//! When the entries of a view are renumbered: it costs a pass over all of them, and makes every later scrape a comparison of memory.

use super::matcher::{RowMatcher, Rows};

/// Reads a map with keys of one byte; returns whether row i is entry i afterwards.
fn read(matcher: &mut RowMatcher, keys: &[u8]) -> bool {
    matcher.match_keys(keys, None, true, usize::MAX);
    matcher.renumber(|_| ());
    matches!(matcher.rows(keys.len()), Rows::Identity(len) if len == keys.len())
}

#[test]
fn entries_are_renumbered_when_their_order_has_changed_much_or_no_longer_changes() {
    let mut matcher = RowMatcher::new(1);
    assert!(read(&mut matcher, b"abcdefgh"), "new entries are numbered in the order of their rows");
    assert!(!read(&mut matcher, b"abefghcd"), "a quarter of the rows follow another one: it may change again");
    let entries: Vec<_> = (0..8).map(|row| matcher.entry_of(row)).collect();
    assert_eq!(entries, [0, 1, 4, 5, 6, 7, 2, 3].map(Some));
    assert!(read(&mut matcher, b"abefghcd"), "the order stayed");
    assert!(read(&mut matcher, b"hgabefcd"), "more than a quarter of the rows follow another one");
    assert_eq!((0..8).map(|row| matcher.entry_of(row)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7].map(Some));
    assert!(!read(&mut matcher, b"efcdhgab"), "halves that change places are one break of the order");
    assert!(read(&mut matcher, b"hgabefcd"), "the order of the entries again");
}
