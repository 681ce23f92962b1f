//! Cache of compiled components on disk: compiling costs 0.1 s for a small one and 18 s for an interpreter, loading its compiled
//! form a tenth of a millisecond.
//!
//! Compiled code is native code, so the folder is trusted only if this user owns it and nobody else can write to it, and a file in it only
//! if it matches its digest. The key is the component's content and the engine that compiled it; no package can bring a file of this form.
//! A faulty cache costs a compilation, never a start.

#![allow(unsafe_code, reason = "a compiled component is native code")]

use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tracing::{debug, warn};
use wasmtime::{Engine, component::Component};

use ebhost_limits as limits;
use ebhost_package::Digest;

/// Bytes of the digest that a cached file begins with.
const DIGEST_BYTES: usize = 32;

/// The extension of a file while it is written.
const UNFINISHED: &str = "tmp";

/// A file that has been unfinished for so long is nobody's: writing one takes milliseconds.
const ABANDONED: Duration = Duration::from_secs(600);

/// A folder of compiled components.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    folder: PathBuf,
    /// Whether a component that was not cached has been warned about.
    has_warned: Arc<AtomicBool>,
}

/// Why a folder is not used as the cache.
#[derive(Debug, thiserror::Error)]
enum CacheError {
    #[error("{path}: cannot be created or inspected: {source}; choose another with --cache.dir")]
    Unusable { path: PathBuf, source: io::Error },
    #[error(
        "{path}: found owner {owner} and mode {mode:o}, expected a folder of user {user} that nobody else can write: \
         it holds native code"
    )]
    Untrusted { path: PathBuf, owner: u32, mode: u32, user: u32 },
}

impl Cache {
    /// Opens the cache in `folder`, which is created if it does not exist. `None`, and a warning, if it cannot be trusted.
    pub(crate) fn open(folder: &Path) -> Option<Self> {
        match check(folder) {
            Ok(()) => {
                let cache = Self { folder: folder.to_owned(), has_warned: Arc::default() };
                cache.sweep();
                Some(cache)
            }
            Err(fault) => {
                warn!("compiled components are not cached: {fault}");
                None
            }
        }
    }

    /// The compiled form of a component and its length, if it is cached and undamaged.
    pub(crate) fn find(&self, engine: &Engine, component: &[u8]) -> Option<(Component, usize)> {
        let bytes = fs::read(self.file(engine, component)).ok()?;
        let (digest, compiled) = bytes.split_at_checked(DIGEST_BYTES)?;
        if *digest != Digest::of(compiled).0 {
            return None;
        }
        // Only this user can write to the folder (checked in `open`), and the digest shows that the file is what was written: output of
        // the compiler, for an engine of the same settings and version (part of the file's name).
        Some((load(engine, compiled).ok()?, compiled.len()))
    }

    /// Stores a compiled component. A failure costs the time to compile it again at the next start; the first one is a warning.
    pub(crate) fn keep(&self, engine: &Engine, component: &[u8], compiled: &[u8]) {
        let digest = Digest::of(compiled).0;
        let kept = self.write(&self.file(engine, component), [&digest, compiled]);
        if let Err(error) = kept.and_then(|()| self.shrink()) {
            let message =
                format!("a compiled component was not cached, and is compiled again at the next start: {error}");
            match self.has_warned.swap(true, Ordering::Relaxed) {
                false => warn!(folder = %self.folder.display(), "{message}"),
                true => debug!(folder = %self.folder.display(), "{message}"),
            }
        }
    }

    fn file(&self, engine: &Engine, component: &[u8]) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let content = Digest::of(component);
        self.folder.join(format!("{content}-{:016x}", hasher.finish()))
    }

    /// Writes atomically: readers see a whole file or none, also after a crash. A file that could not be written whole is removed.
    fn write(&self, file: &Path, parts: [&[u8]; 2]) -> io::Result<()> {
        let unfinished = file.with_extension(format!("{}.{UNFINISHED}", std::process::id()));
        let written = write_and_rename(&unfinished, file, parts);
        if written.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        written
    }

    /// Removes what processes that were killed while they wrote have left behind.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let modified = entry.metadata().and_then(|metadata| metadata.modified()).ok();
            let age = modified.and_then(|modified| modified.elapsed().ok()).unwrap_or_default();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) && age > ABANDONED {
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// Removes the oldest files beyond [`limits::CACHED_COMPONENTS`].
    fn shrink(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
        files.sort();
        let excess = files.len().saturating_sub(limits::CACHED_COMPONENTS);
        files[..excess].iter().try_for_each(|(_, file)| fs::remove_file(file))
    }
}

/// Loads a component from the output of the host's own compiler.
pub(crate) fn load(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes are output of `Engine::precompile_component`: from this process, from the compiler's process, or from the
    // cache, which nobody else can write to. No bytes of a package reach this.
    unsafe { Component::deserialize(engine, compiled) }
}

fn write_and_rename(unfinished: &Path, file: &Path, parts: [&[u8]; 2]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    let mut open = options.write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
    parts.iter().try_for_each(|part| open.write_all(part))?;
    fs::rename(unfinished, file)
}

fn check(folder: &Path) -> Result<(), CacheError> {
    let unusable = |source| CacheError::Unusable { path: folder.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unusable)?;
    let metadata = fs::symlink_metadata(folder).map_err(unusable)?;
    let user = rustix::process::geteuid().as_raw();
    let (owner, mode) = (metadata.uid(), metadata.mode() & 0o7777);
    if owner != user || mode & 0o022 != 0 || !metadata.is_dir() {
        return Err(CacheError::Untrusted { path: folder.to_owned(), owner, mode, user });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("ebhost-cache-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn component(engine: &Engine) -> (Vec<u8>, Vec<u8>) {
        let bytes = wat::parse_str("(component)").unwrap();
        let compiled = engine.precompile_component(&bytes).unwrap();
        (bytes, compiled)
    }

    #[test]
    fn a_cached_component_is_found_until_its_file_is_damaged() {
        let folder = Folder::new("kept");
        let engine = Engine::default();
        let (bytes, compiled) = component(&engine);
        let cache = Cache::open(&folder.0).unwrap();
        assert!(cache.find(&engine, &bytes).is_none());
        cache.keep(&engine, &bytes, &compiled);
        assert!(cache.find(&engine, &bytes).is_some());
        assert!(cache.find(&engine, b"another").is_none());

        let file = cache.file(&engine, &bytes);
        let mut damaged = fs::read(&file).unwrap();
        *damaged.last_mut().unwrap() ^= 1;
        fs::write(&file, &damaged).unwrap();
        assert!(cache.find(&engine, &bytes).is_none(), "one flipped bit");
        fs::write(&file, &damaged[..DIGEST_BYTES - 1]).unwrap();
        assert!(cache.find(&engine, &bytes).is_none(), "cut short");
    }

    #[test]
    fn a_folder_that_others_can_write_is_not_trusted() {
        let folder = Folder::new("open");
        fs::create_dir(&folder.0).unwrap();
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(Cache::open(&folder.0).is_none());
        let error = check(&folder.0).unwrap_err().to_string();
        assert!(error.contains("mode 777") && error.contains("expected a folder of user"), "{error}");
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(Cache::open(&folder.0).is_some());
    }

    /// A full disk left one `.tmp` more at each start.
    #[test]
    fn a_file_that_cannot_be_written_whole_is_not_left_behind() {
        let folder = Folder::new("full");
        let engine = Engine::default();
        let (bytes, compiled) = component(&engine);
        let cache = Cache::open(&folder.0).unwrap();
        // Writing succeeds and the last step fails: a folder has the name.
        fs::create_dir(cache.file(&engine, &bytes)).unwrap();
        fs::write(folder.0.join("young.1.tmp"), b"x").unwrap();
        let abandoned = fs::File::create(folder.0.join("old.1.tmp")).unwrap();
        abandoned.set_modified(std::time::SystemTime::now() - 2 * ABANDONED).unwrap();
        cache.keep(&engine, &bytes, &compiled);
        let unfinished = || {
            let names = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.filter(|name| name.ends_with(".tmp")).collect();
            names.sort();
            names
        };
        assert_eq!(unfinished(), ["old.1.tmp", "young.1.tmp"]);
        Cache::open(&folder.0).unwrap();
        assert_eq!(unfinished(), ["young.1.tmp"]);
    }

    #[test]
    fn the_oldest_files_are_removed_beyond_the_limit() {
        let folder = Folder::new("shrink");
        let cache = Cache::open(&folder.0).unwrap();
        for file in 0..limits::CACHED_COMPONENTS + 3 {
            fs::write(folder.0.join(format!("{file:03}")), b"x").unwrap();
        }
        cache.shrink().unwrap();
        assert_eq!(fs::read_dir(&folder.0).unwrap().count(), limits::CACHED_COMPONENTS);
    }
}
