//! `ebhost pack`: an archive of what a host needs of a package, and its pins.
//!
//! The archive is the same for the same files: it has no times, users or machines in it, so its own digest can be compared, too.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use flate2::{Compression, write::GzEncoder};

use super::{AuthorError, check, command::PackArgs, read};
use ebhost_package::{Digest, Package};
use ebhost_plugin_host::Engine;
use ebhost_registry::FOR_PEOPLE;

/// Bytes of a block of a tar archive.
const BLOCK: usize = 512;

/// Longest path in an archive: that of a header without an extension.
const PATH: usize = 100;

pub(super) fn pack(args: &PackArgs, engine: &Engine) -> Result<ExitCode, AuthorError> {
    if !check::loads(&args.package, engine) {
        return Err(AuthorError::Unsound { package: args.package.clone() });
    }
    let package = read(&args.package)?;
    let files = files(&package)?;
    let version = if package.version.is_empty() { String::new() } else { format!("-{}", package.version) };
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(format!("{}{version}.tar.gz", package.name)));
    let unwritable = |source| AuthorError::Unwritable { path: path.clone(), source };
    let archive = archive(&files).map_err(unwritable)?;
    fs::write(&path, &archive).map_err(unwritable)?;
    println!(
        "{}: {} files, {} bytes; unpack it in the folder of --plugins",
        path.display(),
        files.len(),
        archive.len()
    );
    match package.license.as_str() {
        "" => println!("it has no `license` in plugin.yaml"),
        license => println!("license {license}"),
    }
    println!("its pins, for --trust.pins:");
    for File { name, bytes, .. } in files.iter().filter(|file| file.is_pinned) {
        println!("{}  {name}", Digest::of(bytes));
    }
    Ok(ExitCode::SUCCESS)
}

/// A file of an archive.
struct File {
    /// Its path in the folder of `--plugins`.
    name: String,
    bytes: Vec<u8>,
    /// Whether the host reads it.
    is_pinned: bool,
}

/// The files that a host reads of a package, and those for people.
fn files(package: &Package) -> Result<Vec<File>, AuthorError> {
    let folder = package.file.parent().unwrap_or(Path::new("."));
    let component = (!package.is_builtin()).then_some(&package.component.path);
    let object = package.bpf.as_ref().map(|bpf| &bpf.object.path);
    let needed = [Some(&package.file), component, object].into_iter().flatten().map(|path| (path.clone(), true));
    let for_people = FOR_PEOPLE.iter().map(|name| (folder.join(name), false)).filter(|(path, _)| path.is_file());
    needed.chain(for_people).map(|(path, is_pinned)| file(package, folder, &path, is_pinned)).collect()
}

fn file(package: &Package, folder: &Path, path: &Path, is_pinned: bool) -> Result<File, AuthorError> {
    let unreadable = |source| AuthorError::Unpackable { path: path.to_owned(), source };
    let inner = path.strip_prefix(folder).unwrap_or(path);
    let name = format!("{}/{}", package.name, inner.display());
    if name.len() > PATH {
        let why = format!("found a path of {} bytes in the archive, expected at most {PATH}", name.len());
        return Err(unreadable(io::Error::other(why)));
    }
    Ok(File { name, bytes: fs::read(path).map_err(unreadable)?, is_pinned })
}

/// A compressed tar archive.
fn archive(files: &[File]) -> io::Result<Vec<u8>> {
    let mut out = GzEncoder::new(Vec::new(), Compression::best());
    for file in files {
        out.write_all(&header(&file.name, file.bytes.len()))?;
        out.write_all(&file.bytes)?;
        out.write_all(&vec![0; file.bytes.len().next_multiple_of(BLOCK) - file.bytes.len()])?;
    }
    out.write_all(&[0; 2 * BLOCK])?;
    out.finish()
}

/// The header of a file in the format ustar: owned by root, readable by all, of 1970.
fn header(name: &str, size: usize) -> [u8; BLOCK] {
    let mut header = [0; BLOCK];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, "00000000000");
    put(148, "        "); // the checksum counts as spaces in itself
    put(156, "0");
    put(257, "ustar\x0000");
    put(265, "root");
    put(297, "root");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    header
}
