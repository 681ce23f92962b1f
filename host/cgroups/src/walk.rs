//! A walk through the folders of a hierarchy.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use ebhost_limits::CGROUP_DEPTH;

/// Whether a walk saw every cgroup.
#[derive(Debug)]
#[must_use]
pub enum Walk {
    Complete,
    /// A folder could not be looked at, for another reason than that it is gone (too many open files, for example). What is below it
    /// was not seen, and may well be there.
    Incomplete(io::Error),
}

/// A cgroup that a walk comes to.
#[derive(Debug, Clone, Copy)]
pub struct Visited<'a> {
    pub id: u64,
    /// `None` for the root of the walk.
    pub parent: Option<u64>,
    pub folder: &'a Path,
}

/// Calls `see` with each cgroup from `root` down, parents first. One that is removed meanwhile may be missing.
///
/// A cgroup costs one stat(2), and one that has cgroups below it also the reading of its folder.
pub fn walk(root: &Path, mut see: impl FnMut(Visited<'_>)) -> Walk {
    let mut walker = Walker { see: &mut see, hidden: None };
    walker.visit(root, None, 0);
    walker.hidden.map_or(Walk::Complete, Walk::Incomplete)
}

struct Walker<'a, F> {
    see: &'a mut F,
    /// The first error that hides a cgroup.
    hidden: Option<io::Error>,
}

impl<F: FnMut(Visited<'_>)> Walker<'_, F> {
    fn visit(&mut self, folder: &Path, parent: Option<u64>, depth: usize) {
        if let Err(error) = self.try_visit(folder, parent, depth)
            && !is_gone(&error)
        {
            self.hidden.get_or_insert(error);
        }
    }

    fn try_visit(&mut self, folder: &Path, parent: Option<u64>, depth: usize) -> io::Result<()> {
        let metadata = fs::metadata(folder)?;
        (self.see)(Visited { id: metadata.ino(), parent, folder });
        // A folder has a link for itself, one in its parent, and one in each folder in it.
        if depth == CGROUP_DEPTH || metadata.nlink() == 2 {
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                self.visit(&entry.path(), Some(metadata.ino()), depth + 1);
            }
        }
        Ok(())
    }
}

/// A cgroup that was removed during the walk; cgroupfs answers `ENODEV` for one whose folder is still open.
fn is_gone(error: &io::Error) -> bool {
    const ENODEV: i32 = 19;
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(ENODEV)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_folder_that_cannot_be_looked_at_makes_the_walk_incomplete() {
        let root = Path::new("/dev/shm").join(format!("ebhost-cgroups-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/file"), "").unwrap();
        let seen = |root: &Path| {
            let mut folders = Vec::new();
            let walk = walk(root, |visited| folders.push((visited.parent, visited.folder.to_owned())));
            (folders.len(), matches!(walk, Walk::Complete))
        };
        assert_eq!(seen(&root), (3, true));
        assert_eq!(seen(&root.join("gone")), (0, true));
        // A link to itself (ELOOP) fails for root too, as EMFILE would.
        symlink("loop", root.join("loop")).unwrap();
        assert_eq!(seen(&root.join("loop")), (0, false));
        fs::remove_dir_all(&root).unwrap();
    }
}
