//! Debian's kernels, unpacked into a cache folder, and our own modules for them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ebhost_tests::{output, workspace};

/// An unpacked kernel package.
pub(crate) struct Kernel {
    root: PathBuf,
    pub(crate) line: String,
}

impl Kernel {
    /// The newest cloud kernel of a series that Debian has, or the one in the cache.
    pub(crate) fn of(line: &str, architecture: &str) -> Self {
        Self::fetched(line, architecture, "cloud-")
    }

    /// The same for the kernel for all hardware, which has its drivers as modules.
    pub(crate) fn with_modules(line: &str, architecture: &str) -> Self {
        Self::fetched(line, architecture, "")
    }

    fn fetched(line: &str, architecture: &str, variant: &str) -> Self {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
        let all = if variant.is_empty() { "all-" } else { "" };
        let folder = cache.unwrap_or_else(home).join(format!("ebhost/kernels/{line}-{all}{architecture}"));
        let root = folder.join("root");
        fs::create_dir_all(&folder).expect("a cache folder");
        let script = "[ -d \"$3/root\" ] || exec bash \"$0\" \"$@\"";
        // Tests run in parallel; the first one downloads.
        let mut locked = Command::new("flock");
        locked.arg(folder.with_extension("lock")).args(["bash", "-c", script]);
        output(
            locked
                .arg(workspace().join("tests/guest/fetch-kernel"))
                .args([line, architecture])
                .arg(&folder)
                .arg(variant),
        );
        Self { root, line: line.to_owned() }
    }

    pub(crate) fn image(&self) -> PathBuf {
        let is_image = |name: &str| name == "vmlinuz" || name.starts_with("vmlinuz-");
        self.folders().find_map(|folder| find(&folder, is_image)).expect("a kernel image")
    }

    pub(crate) fn config(&self) -> PathBuf {
        let is_config = |name: &str| name == "config" || name.starts_with("config-");
        self.folders().find_map(|folder| find(&folder, is_config)).expect("a kernel's configuration")
    }

    /// The kernel's release, as `uname -r` prints it.
    pub(crate) fn release(&self) -> String {
        let releases = self.folders().filter(|folder| folder.ends_with("modules"));
        let mut names = releases.filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        names.next().expect("a folder of modules").file_name().to_string_lossy().into_owned()
    }

    /// Where packages have the image, the configuration and the modules: in `/boot`, since 7.3 all of them beside the modules.
    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        ["boot", "lib/modules", "usr/lib/modules"].map(|folder| self.root.join(folder)).into_iter()
    }

    /// A file of the package.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The bytes of one of its modules; none if it is built in.
    pub(crate) fn module(&self, name: &str) -> Option<Vec<u8>> {
        let name = name.replace('-', "_");
        let fits = |file: &str| {
            let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"));
            stem.is_some_and(|stem| stem.replace('-', "_") == name)
        };
        let folders = ["lib/modules", "usr/lib/modules"].map(|folder| self.root.join(folder));
        let file = folders.iter().find_map(|folder| find(folder, fits))?;
        let bytes = if file.extension().is_some_and(|extension| extension == "xz") {
            let unpacked = Command::new("xz").arg("-dc").arg(&file).output().expect("xz, which dpkg needs too");
            assert!(unpacked.status.success(), "{}: {}", file.display(), unpacked.status);
            unpacked.stdout
        } else {
            fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        Some(bytes)
    }

    /// Builds our own module in the folder of its sources.
    pub(crate) fn build(&self, sources: &Path) {
        let headers = fs::read_dir(self.root.join("usr/src")).expect("headers").flatten().map(|entry| entry.path());
        let headers = headers.into_iter().find(|path| path.to_string_lossy().ends_with("-cloud-amd64"));
        let modules = format!("M={}", sources.display());
        output(Command::new("make").arg("-C").arg(headers.expect("headers of the kernel")).args([&modules, "modules"]));
    }
}

/// The first file below `folder` with a name that `fits` accepts.
fn find(folder: &Path, fits: impl Fn(&str) -> bool + Copy) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            return find(&path, fits);
        }
        fits(path.file_name()?.to_str()?).then_some(path)
    })
}
