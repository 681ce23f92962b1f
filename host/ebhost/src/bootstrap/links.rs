//! The folders that a path leads through, and may lead to later.
//!
//! Landlock's rules are those of the start, but links move: certbot points `live/HOST/cert.pem` to `../../archive/HOST/cert8.pem` once a
//! month, and a deployment points `current` to `releases/3`. So a link is allowed by the folder that its target lies in: the next target
//! lies there, too.

use std::{
    ffi::OsString,
    fs,
    path::{Component, Path, PathBuf},
};

/// Links that are followed, as many as the kernel follows.
const MOST_LINKS: usize = 40;

/// A component of a path that is still to be walked.
struct Step {
    component: OsString,
    /// Whether it is the last component of a link's target.
    ends_link: bool,
}

/// The folders in which the targets of all links on the way along `path` lie, and what the path leads to now. A target directly below `/`
/// or in a folder of it (`/run`, `/usr/lib`) stands for itself, for its folder is not this process' business.
pub(super) fn targets(path: &Path) -> Vec<PathBuf> {
    let Ok(path) = std::path::absolute(path) else { return Vec::new() };
    let (mut targets, mut place, mut links) = (Vec::new(), PathBuf::from("/"), 0);
    let mut steps = Vec::new();
    push(&mut steps, &path);
    if let Some(first) = steps.first_mut() {
        first.ends_link = false; // the path itself is no link's target
    }
    while let Some(Step { component, ends_link }) = steps.pop() {
        if component == ".." {
            place.pop();
            continue;
        }
        let next = place.join(&component);
        let target = fs::read_link(&next).ok().filter(|_| links < MOST_LINKS);
        if ends_link {
            targets.push(if is_own(&place) { place.clone() } else { next.clone() });
        }
        match target {
            Some(target) => {
                links += 1;
                if target.is_absolute() {
                    place = PathBuf::from("/");
                }
                push(&mut steps, &target);
            }
            None => place = next,
        }
    }
    if links > 0 {
        targets.push(place);
    }
    targets
}

/// Puts the components of a path on the stack, the first one on top.
fn push(steps: &mut Vec<Step>, path: &Path) {
    let names = path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    let names: Vec<_> = names.collect();
    let last = names.len().saturating_sub(1);
    let steps_of_it =
        names.into_iter().enumerate().map(|(index, component)| Step { component, ends_link: index == last });
    steps.extend(steps_of_it.rev());
}

/// Whether a folder lies deep enough to belong to one program: `/etc/letsencrypt` does, `/etc` does not.
fn is_own(folder: &Path) -> bool {
    folder.components().filter(|component| matches!(component, Component::Normal(_))).count() >= 2
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let folder = std::env::temp_dir().join(format!("ebhost-links-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Self(folder.canonicalize().unwrap())
        }

        fn folder(&self, name: &str) -> PathBuf {
            let folder = self.0.join(name);
            fs::create_dir_all(&folder).unwrap();
            folder
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_folder_of_a_renewed_certificate_is_known() {
        let scratch = Scratch::new("certbot");
        let (live, archive) = (scratch.folder("live/host"), scratch.folder("archive/host"));
        fs::write(archive.join("cert7.pem"), "").unwrap();
        symlink("../../archive/host/cert7.pem", live.join("cert.pem")).unwrap();
        let found = targets(&live.join("cert.pem"));
        assert_eq!(found, [archive.clone(), archive.join("cert7.pem")]);
        assert!(targets(&archive.join("cert7.pem")).is_empty(), "no link, nothing more than the path itself");
    }

    #[test]
    fn the_folder_of_the_next_release_is_known() {
        let scratch = Scratch::new("releases");
        let releases = scratch.folder("releases");
        scratch.folder("releases/2/plugins");
        symlink("releases/2", scratch.0.join("current")).unwrap();
        let found = targets(&scratch.0.join("current/plugins"));
        assert_eq!(found, [releases.clone(), releases.join("2/plugins")]);
        symlink(scratch.0.join("current"), scratch.0.join("latest")).unwrap();
        assert_eq!(targets(&scratch.0.join("latest")), [scratch.0.clone(), releases.clone(), releases.join("2")]);
    }

    #[test]
    fn a_link_to_a_folder_of_everybody_stands_for_itself() {
        let scratch = Scratch::new("shallow");
        symlink("/usr", scratch.0.join("usr")).unwrap();
        assert_eq!(targets(&scratch.0.join("usr/share")), [PathBuf::from("/usr"), PathBuf::from("/usr/share")]);
    }

    #[test]
    fn a_loop_of_links_ends() {
        let scratch = Scratch::new("loop");
        symlink("b", scratch.0.join("a")).unwrap();
        symlink("a", scratch.0.join("b")).unwrap();
        assert!(targets(&scratch.0.join("a")).len() <= MOST_LINKS + 1);
    }
}
