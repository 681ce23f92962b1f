//! The packages that are to run: what two looks in a row agree on.
//!
//! A change counts once it stood still from one look to the next, so that a file that is being copied is not read in its
//! middle, and so that a package whose folder is replaced is never taken for one that is gone.

use super::scan::{Presence, Scan};

/// The packages that the folders are to have running, with the state of their files.
///
/// It is a [`Scan`] that stood still: a package that changed since the look before is in it as it was before the change.
pub(super) type DesiredSet = Scan;

/// Compares each look with the one before.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    last: Scan,
    desired: DesiredSet,
}

impl Debounce {
    /// Takes the packages as they are, without a second look: at the start.
    pub(super) fn start(&mut self, scan: Scan) -> DesiredSet {
        self.desired.clone_from(&scan);
        self.last = scan;
        self.desired.clone()
    }

    /// Takes over what this look and the one before agree on; the rest stays what it was.
    pub(super) fn look(&mut self, scan: Scan) -> DesiredSet {
        self.desired.retain(|file, _| scan.contains_key(file) || self.last.contains_key(file));
        for (file, presence) in &scan {
            if self.last.get(file).is_some_and(|last| is_same(last, presence)) {
                self.desired.insert(file.clone(), presence.clone());
            }
        }
        self.last = scan;
        self.desired.clone()
    }

    /// The packages that are to run, after the last look.
    pub(super) fn desired(&self) -> &DesiredSet {
        &self.desired
    }

    /// Whether the last look found nothing that a second look has to confirm.
    pub(super) fn is_settled(&self) -> bool {
        self.last.len() == self.desired.len()
            && self.last.iter().zip(&self.desired).all(|(last, desired)| {
                let ((last_file, last), (file, desired)) = (last, desired);
                last_file == file && is_same(last, desired)
            })
    }
}

/// The same files; or not known twice, for whatever reasons.
fn is_same(one: &Presence, other: &Presence) -> bool {
    match (one, other) {
        (Presence::Unknown(_), Presence::Unknown(_)) => true,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::scan::Stamp, *};

    fn scan(packages: &[(&str, u64)]) -> Scan {
        packages.iter().map(|(name, size)| (name.into(), Presence::Present(Stamp::of_size(*size)))).collect()
    }

    fn unknown(package: &str) -> Scan {
        Scan::from([(package.into(), Presence::Unknown("permission denied".to_owned()))])
    }

    #[test]
    fn a_change_is_taken_once_it_stands_still() {
        let mut debounce = Debounce::default();
        let start = debounce.start(scan(&[("a", 1)]));
        assert_eq!(debounce.look(scan(&[("a", 1)])), start);
        for size in [2, 3, 4] {
            assert_eq!(debounce.look(scan(&[("a", size)])), start, "it grows");
        }
        assert_eq!(debounce.look(scan(&[("a", 4)])), scan(&[("a", 4)]));
    }

    #[test]
    fn packages_come_and_go_after_two_looks() {
        let mut debounce = Debounce::default();
        debounce.start(scan(&[("a", 1)]));
        assert_eq!(debounce.look(scan(&[("a", 1), ("b", 1)])), scan(&[("a", 1)]));
        assert_eq!(debounce.look(scan(&[("a", 1), ("b", 1)])), scan(&[("a", 1), ("b", 1)]));
        assert_eq!(debounce.look(scan(&[("b", 1)])), scan(&[("a", 1), ("b", 1)]), "a file may be away for a moment");
        assert_eq!(debounce.look(scan(&[("b", 1)])), scan(&[("b", 1)]));
    }

    #[test]
    fn a_renamed_folder_comes_and_goes_in_one_step() {
        let mut debounce = Debounce::default();
        debounce.start(scan(&[("a", 1)]));
        assert_eq!(debounce.look(scan(&[("a-2", 1)])), scan(&[("a", 1)]));
        assert_eq!(debounce.look(scan(&[("a-2", 1)])), scan(&[("a-2", 1)]));
    }

    #[test]
    fn a_file_that_comes_back_at_once_was_never_gone() {
        let mut debounce = Debounce::default();
        let start = debounce.start(scan(&[("a", 1)]));
        for look in [scan(&[]), start.clone(), start.clone()] {
            assert_eq!(debounce.look(look), start);
        }
    }

    #[test]
    fn a_package_that_cannot_be_looked_at_is_not_gone() {
        let mut debounce = Debounce::default();
        debounce.start(scan(&[("a", 1)]));
        assert_eq!(debounce.look(unknown("a")), scan(&[("a", 1)]));
        for _ in 0..3 {
            assert_eq!(debounce.look(unknown("a")), unknown("a"));
            assert!(debounce.is_settled());
        }
        debounce.look(scan(&[("a", 1)]));
        assert_eq!(debounce.look(scan(&[("a", 1)])), scan(&[("a", 1)]));
    }

    #[test]
    fn it_is_settled_when_no_look_has_to_confirm_anything() {
        let mut debounce = Debounce::default();
        debounce.start(scan(&[("a", 1)]));
        assert!(debounce.is_settled());
        for (look, is_settled) in [
            (&[("a", 2)][..], false),
            (&[("a", 2)], true),
            (&[("a", 2), ("b", 1)], false),
            (&[("a", 2)], true),
            (&[], false),
            (&[], true),
        ] {
            debounce.look(scan(look));
            assert_eq!(debounce.is_settled(), is_settled, "{look:?}");
        }
    }
}
