//! Lists of CPUs, as the kernel writes them: `0-3,8`.

use std::{collections::BTreeSet, fs, path::Path};

/// The CPUs of a list; none: it is no list.
pub(super) fn parse(text: &str) -> Option<BTreeSet<u32>> {
    let mut cpus = BTreeSet::new();
    for part in text.trim().split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        cpus.extend(first..=last.min(first.saturating_add(1 << 16)));
    }
    Some(cpus)
}

/// The list in a file; none: there is no such file.
pub(super) fn read(file: &Path) -> Option<BTreeSet<u32>> {
    parse(&fs::read_to_string(file).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_single_cpus_are_listed() {
        let list = |text| parse(text).map(|cpus| cpus.into_iter().collect::<Vec<_>>());
        assert_eq!(list("0-2,5\n"), Some(vec![0, 1, 2, 5]));
        assert_eq!(list("\n"), Some(vec![]));
        assert_eq!(list("0-x"), None);
    }
}
