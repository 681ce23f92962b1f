//! The files of an installed ebhost, in a folder that is their root: the one list that tarball, deb, rpm and image are made from.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    Arch, Release,
    build::{Binary, Documents},
};
use crate::{
    error::{Error, Result},
    process::run,
};

/// Files of an operator's, which upgrades keep as they were changed.
pub(super) const SETTINGS: [&str; 2] = ["etc/default/ebhost", "etc/ebhost/ebhost.yaml"];

/// The folder of packages.
const PLUGINS: &str = "usr/lib/ebhost/plugins";

/// An installed ebhost.
pub(super) struct Tree {
    pub(super) arch: Arch,
    pub(super) root: PathBuf,
}

impl Tree {
    pub(super) fn new(release: &Release, binary: &Binary, documents: &Documents) -> Result<Self> {
        let tree = Self { arch: binary.arch, root: release.stage.join(binary.arch.name()) };
        tree.copy(&binary.path, "usr/bin/ebhost", 0o755)?;
        tree.add_plugins(&release.root)?;
        for (name, place) in [
            ("ebhost.default", "etc/default/ebhost"),
            ("ebhost.yaml", "etc/ebhost/ebhost.yaml"),
            ("ebhost.service", "usr/lib/systemd/system/ebhost.service"),
            ("ebhost.socket", "usr/lib/systemd/system/ebhost.socket"),
        ] {
            tree.copy(&release.packaging(name), place, 0o644)?;
        }
        tree.compressed("usr/share/man/man1/ebhost.1", documents.man.as_bytes())?;
        tree.write("usr/share/bash-completion/completions/ebhost", documents.bash.as_bytes())?;
        tree.write("usr/share/zsh/site-functions/_ebhost", documents.zsh.as_bytes())?;
        tree.write("usr/share/fish/vendor_completions.d/ebhost.fish", documents.fish.as_bytes())?;
        for (file, place) in [("alerts.yml", "alerts.yml"), ("prometheus.yml", "prometheus.yml")] {
            let from = release.root.join("examples/prometheus").join(file);
            tree.copy(&from, &format!("usr/share/doc/ebhost/examples/{place}"), 0o644)?;
        }
        tree.copy(&release.root.join("README.md"), "usr/share/doc/ebhost/README.md", 0o644)?;
        Ok(tree)
    }

    /// Every package of this repository: what the host reads of it, and not what it is built from.
    fn add_plugins(&self, root: &Path) -> Result<()> {
        let plugins = root.join("plugins");
        for plugin in fs::read_dir(&plugins).map_err(Error::file(&plugins))?.flatten() {
            if !plugin.path().join("plugin.yaml").is_file() {
                continue;
            }
            let name = plugin.file_name().to_string_lossy().into_owned();
            for file in fs::read_dir(plugin.path()).map_err(Error::file(&plugin.path()))?.flatten() {
                let file_name = file.file_name().to_string_lossy().into_owned();
                if file_name == "plugin.yaml" || file_name.ends_with(".wasm") || file_name.ends_with(".bpf.o") {
                    self.copy(&file.path(), &format!("{PLUGINS}/{name}/{file_name}"), 0o644)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn copy(&self, from: &Path, place: &str, mode: u32) -> Result<()> {
        let bytes = fs::read(from).map_err(Error::file(from))?;
        self.write(place, &bytes)?;
        let file = self.root.join(place);
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).map_err(Error::file(&file))
    }

    /// Writes a file that everybody may read.
    pub(super) fn write(&self, place: &str, bytes: &[u8]) -> Result<()> {
        let file = self.root.join(place);
        for folder in Path::new(place).ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            let folder = self.root.join(folder);
            fs::create_dir_all(&folder).map_err(Error::file(&folder))?;
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).map_err(Error::file(&folder))?;
        }
        fs::write(&file, bytes).map_err(Error::file(&file))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).map_err(Error::file(&file))
    }

    /// Writes a file compressed, as `PLACE.gz`.
    pub(super) fn compressed(&self, place: &str, bytes: &[u8]) -> Result<()> {
        self.write(place, bytes)?;
        run(Command::new("gzip").args(["-9", "--no-name", "--force"]).arg(self.root.join(place)))
    }

    /// The files and folders, from the root of the file system, sorted.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        let mut list = Vec::new();
        let mut open = vec![self.root.clone()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(&folder).map_err(Error::file(&folder))?.flatten() {
                let path = entry.path();
                let place = path.strip_prefix(&self.root).expect("it is in the tree").display().to_string();
                list.push(place);
                if path.is_dir() {
                    open.push(path);
                }
            }
        }
        list.sort();
        Ok(list)
    }
}
