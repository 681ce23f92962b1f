//! A guest: a Debian kernel, an initramfs with the host and its package, and what its console says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ebhost_tests::{Folder, binary, output, workspace};

/// Modules that the guest's disk needs, in the order of loading; one that is built in has no file.
const MODULES: [&str; 2] = ["configfs", "null_blk"];

pub(crate) struct Guest {
    kernel: PathBuf,
}

/// What the guest's console said.
pub(crate) struct Console(String);

impl Guest {
    /// With the newest cloud kernel of a line, `5.10` or `6.1`, that Debian has.
    pub(crate) fn new(line: &str) -> Self {
        Self { kernel: fetch(line) }
    }

    pub(crate) fn boot(&self) -> Console {
        let folder = Folder::new();
        let root = folder.path().join("root");
        self.fill(&root);
        let initramfs = folder.path().join("initramfs");
        let pack = format!("cd {} && find . | cpio -o -H newc --quiet > {}", root.display(), initramfs.display());
        output(Command::new("sh").args(["-c", &pack]));
        let kernel = find(&self.kernel.join("boot"), |name| name.starts_with("vmlinuz-")).expect("a kernel image");
        // The guest ends by itself; `timeout` ends one that hangs.
        let qemu = ["120", "qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"];
        let console = output(Command::new("timeout").args(qemu).args(["-m", "1024", "-smp", "2", "-append"]).args([
            "console=ttyS0 panic=-1 loglevel=3",
            "-kernel",
            kernel.to_str().expect("a plain path"),
            "-initrd",
            initramfs.to_str().expect("a plain path"),
        ]));
        assert!(console.contains("== end"), "the guest did not come to its end:\n{console}");
        Console(console.replace('\r', ""))
    }

    fn fill(&self, root: &Path) {
        for path in ["bin", "modules", "plugins/biolatency"] {
            fs::create_dir_all(root.join(path)).expect("a folder in our own");
        }
        copy(&workspace().join("tests/guest/init"), &root.join("init"));
        copy(&which("busybox"), &root.join("bin/busybox"));
        copy(&binary(), &root.join("bin/ebhost"));
        for file in ["plugin.yaml", "biolatency.wasm", "biolatency.bpf.o"] {
            let package = workspace().join("plugins/biolatency");
            copy(&package.join(file), &root.join("plugins/biolatency").join(file));
        }
        for library in libraries(&binary()) {
            let to = root.join(library.strip_prefix("/").expect("ldd gives whole paths"));
            fs::create_dir_all(to.parent().expect("it lies in a folder")).expect("a folder in our own");
            copy(&library, &to);
        }
        for module in MODULES {
            if let Some(file) = find(&self.kernel.join("lib/modules"), |name| name.starts_with(&format!("{module}.ko")))
            {
                copy(&file, &root.join(format!("modules/{module}.ko")));
            }
        }
    }
}

impl Console {
    /// What stands between `== name` and the next such line.
    pub(crate) fn section(&self, name: &str) -> &str {
        let start = format!("== {name}\n");
        let after = self.0.split_once(&start).unwrap_or_else(|| panic!("no `{name}` in:\n{}", self.0)).1;
        after.split_once("\n== ").map_or(after, |(section, _)| section).trim()
    }
}

/// Unpacks the newest kernel of the line, unless it lies in the cache already.
fn fetch(line: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache");
    let folder = cache.unwrap_or_else(home).join("ebhost/kernels").join(line);
    let root = folder.join("root");
    if !root.join("boot").is_dir() {
        let script = workspace().join("tests/guest/fetch-kernel");
        output(Command::new("bash").arg(script).arg(line).arg(&folder));
    }
    root
}

fn libraries(binary: &Path) -> Vec<PathBuf> {
    let listed = output(Command::new("ldd").arg(binary));
    listed.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn which(tool: &str) -> PathBuf {
    PathBuf::from(output(Command::new("which").arg(tool)).trim())
}

fn copy(from: &Path, to: &Path) {
    fs::copy(from, to).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
}

/// The first file below `folder` whose name fits.
fn find(folder: &Path, fits: impl Fn(&str) -> bool + Copy) -> Option<PathBuf> {
    fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            return find(&path, fits);
        }
        fits(path.file_name()?.to_str()?).then_some(path)
    })
}
