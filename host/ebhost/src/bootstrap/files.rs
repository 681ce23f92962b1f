//! The files that the command line gives the process business with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::links;
use crate::cli::Cli;
use ebhost_confine::{AllowedFiles, PROGRAMS};
use ebhost_server::Address;

/// Files that the C library reads to look up the name of a receiver: a connection is made anew when one was lost.
const RESOLVER: [&str; 6] =
    ["/etc/hosts", "/etc/resolv.conf", "/etc/nsswitch.conf", "/etc/gai.conf", "/run/systemd/resolve", "/usr/lib"];

/// The files that stay accessible under Landlock, beside those of the kernel.
///
/// A single file is allowed by its folder, because a file that is replaced by another one (by rename, as editors and configuration
/// management do) is a new file, to which a rule for the old one does not apply. A link is allowed by the folder that its target lies in.
pub(super) fn allowed(cli: &Cli, web_files: &[PathBuf], receiver_ports: Vec<u16>) -> AllowedFiles {
    let packages = cli.places();
    let mut readable: Vec<PathBuf> = packages.plugins.iter().cloned().collect();
    let folders = packages.plugins.iter().chain(packages.drop_ins.iter().map(|drop_ins| &drop_ins.folder));
    let linked: Vec<_> = folders.flat_map(|folder| links_of(folder)).collect();
    let mut package_folders = readable.clone();
    let mut single_files: Vec<&Path> = web_files.iter().map(PathBuf::as_path).chain(cli.pins.as_deref()).collect();
    single_files.push(cli.settings.path());
    if let Some(drop_ins) = &packages.drop_ins {
        package_folders.push(drop_ins.folder.clone());
        readable.push(drop_ins.folder.clone());
        single_files.extend(drop_ins.btf_path.as_deref());
        // Their uprobes attach to programs and libraries, whose symbols are read.
        readable.extend(PROGRAMS.map(PathBuf::from));
    }
    readable.extend(single_files.iter().flat_map(|file| links::targets(file)));
    readable.extend(single_files.into_iter().map(|file| folder_of(file).to_owned()));
    readable.extend(linked);
    if !receiver_ports.is_empty() {
        readable.extend(RESOLVER.map(PathBuf::from));
    }
    let package_folders: Vec<_> = package_folders.iter().map(PathBuf::as_path).collect();
    readable.extend(ebhost_kernel::probed_files(&package_folders));
    readable.extend(ebhost_lookup::readable_paths(&cli.roots()));
    let sockets = cli.listen_addresses.iter().filter_map(|address| match address {
        Address::Unix(path) => Some(folder_of(path).to_owned()),
        _ => None,
    });
    let pins = ebhost_kernel::pin_folders(&package_folders);
    AllowedFiles {
        readable,
        cache: cli.cache_folder(),
        recordings: cli.recorder_folder.clone(),
        sockets: sockets.collect(),
        pins,
        ports: receiver_ports,
    }
}

/// Where the links on the way to a folder of packages lead, and those directly inside it.
fn links_of(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let inside = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    links::targets(folder).into_iter().chain(inside.flat_map(|link| links::targets(&link.path()))).collect()
}

fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
