//! Names are found, kept, and reported when they change, in a /sys and a /proc of the test's own.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::Path,
};

use super::*;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ebhost-lookup-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("sys/dev/block")).unwrap();
        fs::create_dir_all(path.join("sys/class/net")).unwrap();
        fs::create_dir_all(path.join("proc/self")).unwrap();
        Self(path)
    }

    fn lookups(&self) -> Lookups {
        Lookups::new(Roots { sys: self.0.join("sys"), proc: self.0.join("proc") })
    }

    fn disk(&self, number: &str, name: &str) {
        let link = self.0.join("sys/dev/block").join(number);
        let _ = fs::remove_file(&link);
        symlink(Path::new("../../devices/virtual/block").join(name), link).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn kernel_number(major: u32, minor: u32) -> [u8; 4] {
    (major << 20 | minor).to_le_bytes()
}

#[test]
fn a_replugged_number_gets_its_new_name() {
    let folder = Folder::new("disks");
    folder.disk("8:16", "sdb");
    folder.disk("104:0", "cciss!c0d0");
    let mut lookups = folder.lookups();
    let question = kernel_number(8, 16);
    assert_eq!(lookups.find(LookupTable::BlockDevice, &question), Some("sdb".into()));
    assert_eq!(lookups.find(LookupTable::BlockDevice, &kernel_number(104, 0)), Some("cciss/c0d0".into()));
    assert!(lookups.refresh().is_empty(), "nothing changed");

    fs::remove_file(folder.0.join("sys/dev/block/8:16")).unwrap();
    let unplugged = lookups.refresh();
    assert_eq!(unplugged, HashSet::from([(LookupTable::BlockDevice, Box::from(question))]));
    assert_eq!(lookups.find(LookupTable::BlockDevice, &question), None);

    folder.disk("8:16", "sdq");
    assert_eq!(lookups.refresh().len(), 1);
    assert_eq!(lookups.find(LookupTable::BlockDevice, &question), Some("sdq".into()));
}

#[test]
fn both_forms_of_a_device_number_are_understood() {
    let folder = Folder::new("forms");
    folder.disk("259:300", "nvme9n1p4");
    let mut lookups = folder.lookups();
    let (major, minor) = (259u32, 300u32);
    let user = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
    assert_eq!(lookups.find(LookupTable::BlockDeviceUser, &user.to_le_bytes()), Some("nvme9n1p4".into()));
    assert_eq!(lookups.find(LookupTable::BlockDevice, &kernel_number(major, minor)), Some("nvme9n1p4".into()));
}

#[test]
fn a_renamed_interface_is_reported() {
    let folder = Folder::new("net");
    let class = folder.0.join("sys/class/net");
    fs::create_dir(class.join("eth0")).unwrap();
    fs::write(class.join("eth0/ifindex"), "7\n").unwrap();
    let mut lookups = folder.lookups();
    assert_eq!(lookups.find(LookupTable::NetworkInterface, &7u32.to_le_bytes()), Some("eth0".into()));
    assert_eq!(lookups.find(LookupTable::NetworkInterface, &8u32.to_le_bytes()), None);
    fs::rename(class.join("eth0"), class.join("wan0")).unwrap();
    assert_eq!(lookups.refresh().len(), 1);
    assert_eq!(lookups.find(LookupTable::NetworkInterface, &7u32.to_le_bytes()), Some("wan0".into()));
}

#[test]
fn cgroups_are_found_by_inode_and_lost_when_removed() {
    let folder = Folder::new("cgroup");
    let mount = folder.0.join("cg");
    fs::create_dir_all(mount.join("system.slice/a.service")).unwrap();
    fs::write(folder.0.join("proc/self/mounts"), format!("cgroup2 {} cgroup2 rw 0 0\n", mount.display())).unwrap();
    let id = |path: &str| fs::metadata(mount.join(path)).unwrap().ino().to_le_bytes();
    let (root, service) = (id(""), id("system.slice/a.service"));
    let mut lookups = folder.lookups();
    assert_eq!(lookups.find(LookupTable::Cgroup, &service), Some("/system.slice/a.service".into()));
    assert_eq!(lookups.find(LookupTable::Cgroup, &root), Some("/".into()));
    fs::remove_dir(mount.join("system.slice/a.service")).unwrap();
    assert_eq!(lookups.refresh(), HashSet::from([(LookupTable::Cgroup, Box::from(service))]));
    assert_eq!(lookups.find(LookupTable::Cgroup, &service), None);
}

#[test]
fn addresses_become_the_nearest_symbol_before_them() {
    let folder = Folder::new("symbols");
    let kallsyms = "0000000000000000 A hidden\n00000000000010a0 t second\t[mod]\n0000000000001000 T first\n";
    fs::write(folder.0.join("proc/kallsyms"), kallsyms).unwrap();
    let mut lookups = folder.lookups();
    let stack: Vec<u8> = [0x1000u64, 0x10ba, 0, 0x1000].iter().flat_map(|address| address.to_le_bytes()).collect();
    assert_eq!(lookups.find(LookupTable::KernelSymbol, &stack), Some("first\nsecond\t[mod]+0x1a".into()));
    assert_eq!(lookups.find(LookupTable::KernelSymbol, &0xfffu64.to_le_bytes()), None, "before the first symbol");
}
