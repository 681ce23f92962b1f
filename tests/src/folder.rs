//! Folders: those of the repository, and temporary ones for packages that a test changes.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicUsize, Ordering},
};

/// The settings file of a [`Folder`], which is no package.
pub(crate) const SETTINGS: &str = "ebhost.yaml";

/// The root of the repository.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate lies in the workspace")
}

/// The folder of the committed packages.
pub fn committed() -> PathBuf {
    workspace().join("plugins")
}

/// The folder in which cargo builds, and where one run of the tests may leave files for the next.
pub fn target() -> PathBuf {
    built("..")
}

/// The path of a file that cargo built in the profile of the tests.
pub(crate) fn built(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("a test knows its own path");
    let profile = own.ancestors().skip(1).find(|folder| folder.join("deps").is_dir());
    profile.expect("tests lie in target/PROFILE/deps, the benchmark in target/PROFILE").join(name)
}

/// A temporary folder that every user can read. Removed on drop.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// A folder on an in-memory file system.
    pub fn in_memory() -> Self {
        Self::below(Path::new("/dev/shm"))
    }

    fn below(parent: &Path) -> Self {
        let path = loop {
            let path = Self::unused_name(parent);
            match fs::create_dir(&path) {
                Ok(()) => break path,
                // A test that was killed left it, and this process has the same number.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own folder");
        Self(path)
    }

    /// A name that this process has not used before.
    fn unused_name(parent: &Path) -> PathBuf {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        parent.join(format!("ebhost-tests-{}-{count}", process::id()))
    }

    /// A folder with the committed package biolatency.
    pub fn with_biolatency() -> Self {
        let folder = Self::new();
        folder.add("biolatency");
        folder
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Copies biolatency into it under this name; returns the package's folder.
    pub fn add(&self, name: &str) -> PathBuf {
        let package = self.0.join(name);
        fs::create_dir(&package).expect("a new folder in our own");
        for file in ["plugin.yaml", "biolatency.wasm", "biolatency.bpf.o"] {
            let from = committed().join("biolatency").join(file);
            fs::copy(&from, package.join(file)).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        let rename = |text: String| text.replacen("name: biolatency\n", &format!("name: {name}\n"), 1);
        edit(&package.join("plugin.yaml"), rename);
        package
    }

    /// Copies a package into it, without the subfolders with its sources; returns the package's folder.
    pub fn copy(&self, from: &Path) -> PathBuf {
        let package = self.0.join(from.file_name().expect("a package has a name"));
        copy_package(from, &package);
        package
    }

    /// Writes the settings file, with which every host is started that has its packages here.
    pub fn set(&self, text: &str) {
        fs::write(self.0.join(SETTINGS), text).unwrap_or_else(|error| panic!("{SETTINGS}: {error}"));
    }

    /// Replaces the first occurrence of a passage in a package's `plugin.yaml`; the passage must exist.
    pub fn amend(&self, package: &str, from: &str, to: &str) {
        edit(&self.0.join(package).join("plugin.yaml"), |text| {
            assert!(text.contains(from), "plugin.yaml has no `{from}`:\n{text}");
            text.replacen(from, to, 1)
        });
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{}: {error}", self.0.display());
        }
    }
}

/// Copies a package, without the subfolders with its sources, to a new folder.
pub fn copy_package(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder in our own");
    let entries = fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
    for file in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()) {
        let to = to.join(file.file_name().expect("a file has a name"));
        fs::copy(&file, to).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

fn edit(file: &Path, change: impl FnOnce(String) -> String) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    fs::write(file, change(text)).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
