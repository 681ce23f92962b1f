//! Names of PCI devices, from the database that distributions install as pci.ids.
//!
//! It is read when a number is first asked about, and again when the file has changed. An empty name means that the database does
//! not have the number, no name that there is no database.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ebhost_limits as limits;

use super::{Freshness, Source};
use crate::Roots;

/// The folders and files below /usr/share in which distributions install it.
const FOLDERS: [&str; 2] = ["misc", "hwdata"];
const FILES: [&str; 2] = ["pci.ids", "pci.ids.gz"];

/// The database, if a number was asked about.
#[derive(Debug)]
pub(crate) struct PciIds {
    share: PathBuf,
    read: Option<ReadDatabase>,
}

/// What was read; without a stamp and without names if there was no database.
#[derive(Debug)]
struct ReadDatabase {
    stamp: Option<Stamp>,
    names: Option<PciNames>,
}

/// The file that was read, and its time and size then.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    file: PathBuf,
    modified: Option<SystemTime>,
    bytes: u64,
}

/// Names by number.
#[derive(Debug, Default)]
pub(crate) struct PciNames {
    pub(crate) vendors: HashMap<u64, String>,
    /// By `vendor << 16 | device`.
    pub(crate) devices: HashMap<u64, String>,
    pub(crate) classes: HashMap<u64, String>,
    /// By `class << 8 | subclass`.
    pub(crate) subclasses: HashMap<u64, String>,
}

impl PciIds {
    /// The name of `number` among `names`: empty if it has none there, `None` without a database.
    pub(crate) fn name(&mut self, number: u64, names: fn(&PciNames) -> &HashMap<u64, String>) -> Option<String> {
        let database = self.read.get_or_insert_with(|| ReadDatabase::read(&self.share));
        database.names.as_ref().map(|all| names(all).get(&number).cloned().unwrap_or_default())
    }
}

impl Source for PciIds {
    fn paths(roots: &Roots) -> Vec<PathBuf> {
        FOLDERS.iter().chain(&FILES).map(|place| roots.share.join(place)).collect()
    }

    fn open(roots: &Roots) -> Self {
        Self { share: roots.share.clone(), read: None }
    }

    fn refresh(&mut self) -> Freshness {
        if self.read.as_ref().is_some_and(|read| read.stamp == stamp(&self.share)) {
            return Freshness::Unchanged;
        }
        self.read = None;
        Freshness::MayDiffer
    }
}

impl ReadDatabase {
    fn read(share: &Path) -> Self {
        let stamp = stamp(share);
        let names = stamp.as_ref().and_then(|stamp| Some(parse(&text(&stamp.file)?)));
        Self { stamp, names }
    }
}

/// The database that is installed: a plain one is preferred to a compressed one.
fn stamp(share: &Path) -> Option<Stamp> {
    let folders = || FOLDERS.iter().map(|folder| share.join(folder)).chain([share.to_owned()]);
    FILES.iter().flat_map(|name| folders().map(move |folder| folder.join(name))).find_map(|file| {
        let metadata = fs::metadata(&file).ok().filter(fs::Metadata::is_file)?;
        Some(Stamp { file, modified: metadata.modified().ok(), bytes: metadata.len() })
    })
}

fn text(file: &Path) -> Option<String> {
    let open = fs::File::open(file).ok()?;
    let mut bytes = Vec::new();
    if file.extension().is_some_and(|extension| extension == "gz") {
        flate2::read::GzDecoder::new(open).take(limits::PCI_IDS_BYTES).read_to_end(&mut bytes).ok()?;
    } else {
        open.take(limits::PCI_IDS_BYTES).read_to_end(&mut bytes).ok()?;
    }
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Parses lines `VENDOR  NAME` with `\tDEVICE  NAME` below them and, from `C CLASS  NAME` on, `\tSUBCLASS  NAME`. Lines that are
/// indented further are skipped.
fn parse(text: &str) -> PciNames {
    let mut names = PciNames::default();
    let (mut above, mut is_class) = (None, false);
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.starts_with("\t\t")) {
        let inside = line.strip_prefix('\t');
        let class = line.strip_prefix("C ");
        let Some((number, name)) = entry(inside.or(class).unwrap_or(line)) else {
            above = inside.and(above);
            continue;
        };
        match (inside, above) {
            (Some(_), Some(above)) if is_class => names.subclasses.insert(above << 8 | number, name),
            (Some(_), Some(above)) => names.devices.insert(above << 16 | number, name),
            (Some(_), None) => None,
            (None, _) => {
                (above, is_class) = (Some(number), class.is_some());
                if is_class { &mut names.classes } else { &mut names.vendors }.insert(number, name)
            }
        };
    }
    names
}

fn entry(line: &str) -> Option<(u64, String)> {
    let (number, name) = line.split_once("  ")?;
    Some((u64::from_str_radix(number, 16).ok()?, name.trim().to_owned()))
}
