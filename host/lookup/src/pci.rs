//! Numbers of PCI devices as names, from the database that distributions install as pci.ids.
//!
//! It is read when one is first asked about, and again when the file has changed. An empty name says that the database does not
//! have the number, none that there is no database.

use std::{
    collections::HashMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::Roots;
use ebhost_limits as limits;

/// Where distributions put it, the first that is there.
const PLACES: [&str; 6] =
    ["misc/pci.ids", "hwdata/pci.ids", "pci.ids", "misc/pci.ids.gz", "hwdata/pci.ids.gz", "pci.ids.gz"];

/// The database, if it was asked for.
#[derive(Debug)]
pub(super) struct Database {
    share: PathBuf,
    read: Option<(Option<Stamp>, Option<Names>)>,
}

/// Which file was read, and how it was then.
type Stamp = (PathBuf, Option<SystemTime>, u64);

/// Names by number, in four tables.
#[derive(Debug, Default)]
struct Names {
    vendors: HashMap<u64, String>,
    devices: HashMap<u64, String>,
    classes: HashMap<u64, String>,
    subclasses: HashMap<u64, String>,
}

impl Database {
    pub(super) fn new(roots: &Roots) -> Self {
        Self { share: roots.share.clone(), read: None }
    }

    pub(super) fn vendor(&mut self, number: u64) -> Option<String> {
        self.find(number, |names| &names.vendors)
    }

    pub(super) fn device(&mut self, number: u64) -> Option<String> {
        self.find(number, |names| &names.devices)
    }

    pub(super) fn class(&mut self, number: u64) -> Option<String> {
        self.find(number, |names| &names.classes)
    }

    pub(super) fn subclass(&mut self, number: u64) -> Option<String> {
        self.find(number, |names| &names.subclasses)
    }

    pub(super) fn refresh(&mut self) {
        if self.read.as_ref().is_some_and(|(stamp, _)| *stamp != stamp_of(&self.share)) {
            self.read = None;
        }
    }

    fn find(&mut self, number: u64, table: impl Fn(&Names) -> &HashMap<u64, String>) -> Option<String> {
        let share = &self.share;
        let (_, names) = self.read.get_or_insert_with(|| {
            let stamp = stamp_of(share);
            let names = stamp.as_ref().and_then(|(file, ..)| Some(parse(&text(file)?)));
            (stamp, names)
        });
        names.as_ref().map(|names| table(names).get(&number).cloned().unwrap_or_default())
    }
}

fn stamp_of(share: &Path) -> Option<Stamp> {
    PLACES.iter().find_map(|place| {
        let file = share.join(place);
        let metadata = fs::metadata(&file).ok().filter(fs::Metadata::is_file)?;
        Some((file, metadata.modified().ok(), metadata.len()))
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

/// Lines `VENDOR  NAME`, below them `\tDEVICE  NAME`; from `C CLASS  NAME` on, `\tSUBCLASS  NAME`. What is further in is not read.
fn parse(text: &str) -> Names {
    let mut names = Names::default();
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
