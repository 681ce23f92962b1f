//! The rpm package, put together by rpmbuild from the finished tree.

use std::{fs, process::Command};

use super::{
    Release,
    build::need,
    tree::{SETTINGS, Tree},
};
use crate::{
    error::{Error, Result},
    process::run,
};

pub(super) fn write(release: &Release, tree: &Tree) -> Result<()> {
    need("rpmbuild", "apt-get install rpm")?;
    let top = release.stage.join(format!("rpm-{}", tree.arch.name()));
    fs::create_dir_all(&top).map_err(Error::file(&top))?;
    let template = release.packaging("ebhost.spec");
    let template = fs::read_to_string(&template).map_err(Error::file(&template))?;
    let spec = template
        .replace("@VERSION@", release.version)
        .replace("@TREE@", &tree.root.display().to_string())
        .replace("@FILES@", &files(tree)?);
    let file = top.join("ebhost.spec");
    fs::write(&file, spec).map_err(Error::file(&file))?;
    let mut command = Command::new("rpmbuild");
    command.env("SOURCE_DATE_EPOCH", &release.epoch).args(["-bb", "--quiet"]);
    for (name, value) in [
        ("_topdir", top.display().to_string().as_str()),
        ("_rpmdir", &release.out.display().to_string()),
        ("_rpmfilename", "%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm"),
        ("_buildhost", "localhost"),
        ("use_source_date_epoch_as_buildtime", "1"),
        ("clamp_mtime_to_source_date_epoch", "1"),
        ("source_date_epoch_from_changelog", "0"),
        // Every rpm of the last fifteen years reads it.
        ("_binary_payload", "w9.gzdio"),
        // The tree is finished: nothing is stripped or compressed.
        ("__os_install_post", "%{nil}"),
        ("debug_package", "%{nil}"),
        ("_build_id_links", "none"),
    ] {
        command.arg("--define").arg(format!("{name} {value}"));
    }
    run(command.arg(format!("--target={}-linux", tree.arch.name())).arg(&file))
}

/// The list of files: those of the operator are kept when they were changed, and folders are the package's own only below its names.
fn files(tree: &Tree) -> Result<String> {
    let is_own = |place: &str| place.split('/').any(|part| part == "ebhost");
    let mut lines = String::new();
    for place in tree.list()? {
        let kind = match place.as_str() {
            settings if SETTINGS.contains(&settings) => "%config(noreplace) ",
            folder if tree.root.join(folder).is_dir() && is_own(folder) => "%dir ",
            folder if tree.root.join(folder).is_dir() => continue,
            doc if doc.starts_with("usr/share/doc/") => "%doc ",
            _ => "",
        };
        lines += &format!("{kind}/{place}\n");
    }
    Ok(lines)
}
