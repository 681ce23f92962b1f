//! Names are found, kept, and reported when they change, in a /sys and a /proc that belong to the test.

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
        Lookups::new(&Roots::below(&self.0))
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

fn table(name: &str) -> LookupTable {
    LookupTable::named(name).unwrap()
}

/// The name that a table has for a key, of something that is there or gone.
fn name_of(lookups: &mut Lookups, table: LookupTable, key: &[u8]) -> Option<String> {
    match lookups.find(table, key) {
        Found::Name(name) | Found::Gone(name) => Some(name),
        Found::Unknown | Found::NotYet => None,
    }
}

fn set(table: LookupTable, keys: &[&[u8]]) -> QuestionSet {
    keys.iter().map(|key| (table, Box::from(*key))).collect()
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
    assert_eq!(name_of(&mut lookups, table("block-device"), &question), Some("sdb".into()));
    assert_eq!(name_of(&mut lookups, table("block-device"), &kernel_number(104, 0)), Some("cciss/c0d0".into()));
    assert!(lookups.refresh().renamed.is_empty(), "nothing changed");

    fs::remove_file(folder.0.join("sys/dev/block/8:16")).unwrap();
    assert!(lookups.refresh().renamed.is_empty(), "a disk that is gone keeps its name");
    assert_eq!(lookups.find(table("block-device"), &question), Found::Gone("sdb".into()));
    assert_eq!(lookups.refresh().departed, set(table("block-device"), &[&question]));
    assert!(lookups.is_gone(&(table("block-device"), Box::from(question))));

    folder.disk("8:16", "sdq");
    assert_eq!(lookups.refresh().renamed.len(), 1);
    assert_eq!(lookups.find(table("block-device"), &question), Found::Name("sdq".into()));
    assert_eq!(lookups.refresh().departed, QuestionSet::default());
}

#[test]
fn disks_are_looked_up_again_when_the_kernel_has_counted_a_uevent() {
    let folder = Folder::new("uevents");
    let count_uevents =
        |number: u32| fs::write(folder.0.join("sys/kernel/uevent_seqnum"), format!("{number}\n")).unwrap();
    fs::create_dir_all(folder.0.join("sys/kernel")).unwrap();
    count_uevents(4953);
    folder.disk("8:16", "sdb");
    let mut lookups = folder.lookups();
    let question = kernel_number(8, 16);
    assert!(lookups.refresh().renamed.is_empty());
    assert_eq!(name_of(&mut lookups, table("block-device"), &question), Some("sdb".into()));
    folder.disk("8:16", "sdq");
    assert!(lookups.refresh().renamed.is_empty(), "no uevent was counted");
    count_uevents(4954);
    assert_eq!(lookups.refresh().renamed.len(), 1);
    assert_eq!(name_of(&mut lookups, table("block-device"), &question), Some("sdq".into()));
    folder.disk("8:16", "sdr");
    fs::write(folder.0.join("sys/kernel/uevent_seqnum"), "").unwrap();
    assert_eq!(lookups.refresh().renamed.len(), 1, "without a count every name is looked up");
}

/// A disk's folder in /sys/block, and its key in the table `disk`.
fn add_disk(folder: &Folder, name: &str) -> [u8; 40] {
    let path = folder.0.join("sys/block").join(name.replace('/', "!"));
    fs::create_dir_all(&path).unwrap();
    disk_key(fs::metadata(path).unwrap().ino(), name)
}

fn disk_key(inode: u64, name: &str) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&inode.to_le_bytes());
    key[8..8 + name.len()].copy_from_slice(name.as_bytes());
    key
}

fn remove_disk(folder: &Folder, name: &str) {
    fs::remove_dir(folder.0.join("sys/block").join(name)).unwrap();
}

#[test]
fn a_path_of_an_nvme_multipath_disk_has_the_name_of_the_disk() {
    let folder = Folder::new("nvme");
    let mut lookups = folder.lookups();
    for (name, shown) in [
        ("nvme0c1n2", "nvme0n2"),
        ("nvme12c345n6", "nvme12n6"),
        ("nvme0n1", "nvme0n1"),
        ("cciss/c0d0", "cciss/c0d0"),
        ("nvmecn", "nvmecn"),
    ] {
        let key = add_disk(&folder, name);
        assert_eq!(name_of(&mut lookups, table("disk"), &key), Some(shown.into()));
    }
    assert_eq!(name_of(&mut lookups, table("disk"), &[0; 40]), None, "a bank without an owner");
}

#[test]
fn a_removed_disk_keeps_its_name_for_the_collection_that_takes_its_last_counts() {
    let folder = Folder::new("removed-disk");
    let key = add_disk(&folder, "sdb");
    let mut lookups = folder.lookups();
    assert_eq!(name_of(&mut lookups, table("disk"), &key), Some("sdb".into()));
    remove_disk(&folder, "sdb");
    lookups.refresh();
    assert_eq!(name_of(&mut lookups, table("disk"), &key), Some("sdb".into()), "its last counts are taken now");
    lookups.refresh();
    assert_eq!(name_of(&mut lookups, table("disk"), &key), Some(String::new()));
    lookups.refresh();
    assert_eq!(name_of(&mut lookups, table("disk"), &key), Some(String::new()));
}

#[test]
fn a_disk_that_came_and_went_between_two_scrapes_has_its_name_once() {
    let folder = Folder::new("short-lived-disk");
    let key = add_disk(&folder, "sdc");
    remove_disk(&folder, "sdc");
    fs::create_dir_all(folder.0.join("sys/kernel")).unwrap();
    fs::write(folder.0.join("sys/kernel/uevent_seqnum"), "7\n").unwrap();
    let mut lookups = folder.lookups();
    lookups.refresh();
    assert_eq!(name_of(&mut lookups, table("disk"), &key), Some("sdc".into()));
    // No uevent comes any more: the disk was gone before.
    lookups.refresh();
    assert_eq!(name_of(&mut lookups, table("disk"), &key), Some(String::new()));
}

#[test]
fn a_disk_that_takes_a_removed_ones_name_is_another_disk() {
    let folder = Folder::new("reused-name");
    let new = add_disk(&folder, "sdb");
    let old = disk_key(1, "sdb");
    assert_ne!(old, new);
    let mut lookups = folder.lookups();
    assert_eq!(name_of(&mut lookups, table("disk"), &new), Some("sdb".into()));
    name_of(&mut lookups, table("disk"), &old);
    lookups.refresh();
    assert_eq!(name_of(&mut lookups, table("disk"), &old), Some(String::new()));
    assert_eq!(name_of(&mut lookups, table("disk"), &new), Some("sdb".into()));
}

#[test]
fn both_forms_of_a_device_number_are_understood() {
    let folder = Folder::new("forms");
    folder.disk("259:300", "nvme9n1p4");
    let mut lookups = folder.lookups();
    let (major, minor) = (259u32, 300u32);
    let user = (minor & 0xff) | (major << 8) | ((minor & !0xff) << 12);
    assert_eq!(name_of(&mut lookups, table("block-device-user"), &user.to_le_bytes()), Some("nvme9n1p4".into()));
    assert_eq!(name_of(&mut lookups, table("block-device"), &kernel_number(major, minor)), Some("nvme9n1p4".into()));
}

#[test]
fn a_renamed_interface_is_reported() {
    let folder = Folder::new("net");
    let class = folder.0.join("sys/class/net");
    fs::create_dir(class.join("eth0")).unwrap();
    fs::write(class.join("eth0/ifindex"), "7\n").unwrap();
    let mut lookups = folder.lookups();
    assert_eq!(name_of(&mut lookups, table("network-interface"), &7u32.to_le_bytes()), Some("eth0".into()));
    assert_eq!(name_of(&mut lookups, table("network-interface"), &8u32.to_le_bytes()), None);
    fs::rename(class.join("eth0"), class.join("wan0")).unwrap();
    assert_eq!(lookups.refresh().renamed.len(), 1);
    assert_eq!(name_of(&mut lookups, table("network-interface"), &7u32.to_le_bytes()), Some("wan0".into()));
}

/// A folder that mountinfo calls a hierarchy, with these cgroups.
fn hierarchy(folder: &Folder, cgroups: &[&str]) -> PathBuf {
    let mount = folder.0.join("cg");
    cgroups.iter().for_each(|cgroup| fs::create_dir_all(mount.join(cgroup)).unwrap());
    let device = fs::metadata(&mount).unwrap().dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let line = format!("29 23 {device} / {} rw - cgroup2 cgroup2 rw\n", mount.display());
    fs::write(folder.0.join("proc/self/mountinfo"), line).unwrap();
    mount
}

fn cgroup_id(mount: &Path, cgroup: &str) -> [u8; 8] {
    fs::metadata(mount.join(cgroup)).unwrap().ino().to_le_bytes()
}

#[test]
fn a_cgroup_keeps_its_name_after_it_was_removed() {
    let folder = Folder::new("cgroup");
    let mount = hierarchy(&folder, &["system.slice/a.service"]);
    let (root, service) = (cgroup_id(&mount, ""), cgroup_id(&mount, "system.slice/a.service"));
    let mut lookups = folder.lookups();
    let path = "/system.slice/a.service".to_owned();
    assert_eq!(lookups.find(table("cgroup"), &service), Found::Name(path.clone()));
    assert_eq!(lookups.find(table("live-cgroup"), &service), Found::Name(path.clone()));
    assert_eq!(lookups.find(table("cgroup"), &root), Found::Name("/".into()));
    fs::remove_dir(mount.join("system.slice/a.service")).unwrap();
    assert!(lookups.refresh().renamed.is_empty(), "its last counts are taken under its name");
    assert_eq!(lookups.find(table("cgroup"), &service), Found::Gone(path.clone()));
    assert_eq!(lookups.find(table("live-cgroup"), &service), Found::Gone(path.clone()));
    let changes = lookups.refresh();
    assert_eq!(changes.renamed, set(table("live-cgroup"), &[&service]));
    assert!(changes.departed.contains(table("cgroup"), &service));
    assert_eq!(lookups.find(table("cgroup"), &service), Found::Gone(path));
    assert_eq!(lookups.find(table("live-cgroup"), &service), Found::Gone(String::new()));
}

#[test]
fn a_cgroup_that_was_created_since_the_last_collection_has_its_name() {
    let folder = Folder::new("new-cgroup");
    let mount = hierarchy(&folder, &["a"]);
    let mut lookups = folder.lookups();
    assert_eq!(lookups.find(table("cgroup"), &cgroup_id(&mount, "a")), Found::Name("/a".into()));
    fs::create_dir_all(mount.join("a/b/c")).unwrap();
    let id = cgroup_id(&mount, "a/b/c");
    lookups.refresh();
    assert_eq!(lookups.find(table("cgroup"), &id), Found::Name("/a/b/c".into()));
}

#[test]
fn without_a_hierarchy_of_version_2_no_cgroup_has_a_name_and_the_log_says_so() {
    let folder = Folder::new("cgroup-v1");
    let v1 = folder.0.join("sys/fs/cgroup/cpu");
    fs::create_dir_all(&v1).unwrap();
    let device = fs::metadata(&v1).unwrap().dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    let line = format!("29 23 {device} / {} rw - cgroup cgroup rw,cpu\n", v1.display());
    fs::write(folder.0.join("proc/self/mountinfo"), line).unwrap();
    let mut lookups = folder.lookups();
    lookups.open_privileged();
    assert_eq!(lookups.warnings(), Vec::<String>::new(), "nobody asks");
    assert_eq!(lookups.find(table("cgroup"), &cgroup_id(&v1, "")), Found::Unknown);
    assert_eq!(lookups.find(table("cgroup-folder"), &1u64.to_le_bytes()), Found::Unknown);
    let warnings = lookups.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("only hierarchies of version 1"), "{warnings:?}");
    assert!(lookups.warnings().is_empty(), "once");
}

#[test]
fn addresses_become_the_nearest_symbol_before_them() {
    let folder = Folder::new("symbols");
    let kallsyms = "0000000000000000 A hidden\n00000000000010a0 t second\t[mod]\n0000000000001000 T first\n";
    fs::write(folder.0.join("proc/kallsyms"), kallsyms).unwrap();
    let mut lookups = folder.lookups();
    let stack: Vec<u8> = [0x1000u64, 0x10ba, 0, 0x1000].iter().flat_map(|address| address.to_le_bytes()).collect();
    assert_eq!(name_of(&mut lookups, table("kernel-symbol"), &stack), Some("first\nsecond\t[mod]+0x1a".into()));
    assert_eq!(name_of(&mut lookups, table("kernel-symbol"), &0xfffu64.to_le_bytes()), None, "before the first symbol");
}

/// ebpf_exporter shows the last of them, the kernel's own messages the first.
#[test]
fn of_several_names_of_an_address_configurations_show_the_last() {
    let folder = Folder::new("aliases");
    let kallsyms = "0000000000001000 T __do_sys_sync\n0000000000001000 T __ia32_sys_sync\n0000000000001000 T __x64_sys_sync\n\
                    0000000000002000 T lone\n";
    fs::write(folder.0.join("proc/kallsyms"), kallsyms).unwrap();
    let mut lookups = folder.lookups();
    let mut found = |name: &str, address: u64| name_of(&mut lookups, table(name), &address.to_le_bytes()).unwrap();
    assert_eq!(found("kernel-symbol-exact", 0x1000), "__x64_sys_sync");
    assert_eq!(found("kernel-stack", 0x1010), "__x64_sys_sync");
    assert_eq!(found("kernel-symbol", 0x1010), "__do_sys_sync+0x10");
    assert_eq!((found("kernel-symbol-exact", 0x2000), found("kernel-stack", 0x2000)), ("lone".into(), "lone".into()));
}

#[test]
fn a_stack_is_functions_and_a_symbol_is_where_it_begins() {
    let folder = Folder::new("functions");
    fs::write(folder.0.join("proc/kallsyms"), "0000000000001000 T first\n00000000000010a0 t second\t[mod]\n").unwrap();
    let mut lookups = folder.lookups();
    let stack: Vec<u8> = [0x10bau64, 0x1000, 0xfff, 0, 7].iter().flat_map(|address| address.to_le_bytes()).collect();
    assert_eq!(name_of(&mut lookups, table("kernel-stack"), &stack), Some("second\t[mod]\nfirst\n??".into()));
    assert_eq!(name_of(&mut lookups, table("kernel-stack"), &[0; 16]), Some(String::new()));
    let mut exactly = |address: u64| name_of(&mut lookups, table("kernel-symbol-exact"), &address.to_le_bytes());
    assert_eq!((exactly(0x10a0), exactly(0x1000)), (Some("second\t[mod]".into()), Some("first".into())));
    assert_eq!((exactly(0x1001), exactly(0), exactly(0xfff)), (None, None, None));
}

#[test]
fn a_cgroups_folder_begins_with_the_mount() {
    let folder = Folder::new("cgroup-folder");
    let mount = hierarchy(&folder, &["a.slice"]);
    let mut lookups = folder.lookups();
    let expected = mount.display().to_string();
    let found = lookups.find(table("cgroup-folder"), &cgroup_id(&mount, "a.slice"));
    assert_eq!(found, Found::Name(format!("{expected}/a.slice")));
    assert_eq!(lookups.find(table("cgroup-folder"), &cgroup_id(&mount, "")), Found::Name(expected));
}

#[test]
fn symbols_are_not_read_again_because_a_module_is_used_more() {
    let folder = Folder::new("modules");
    let write = |file: &str, text: &str| fs::write(folder.0.join("proc").join(file), text).unwrap();
    write("modules", "nvme 61440 3 - Live 0xffffffffc0100000\n");
    write("kallsyms", "0000000000001000 T before\n");
    let mut lookups = folder.lookups();
    let address = 0x1000u64.to_le_bytes();
    assert_eq!(name_of(&mut lookups, table("kernel-symbol"), &address), Some("before".into()));
    write("kallsyms", "0000000000001000 T after\n");
    write("modules", "nvme 61440 4 nvme_tcp, Live 0xffffffffc0100000\n");
    assert!(lookups.refresh().renamed.is_empty(), "the same modules");
    write("modules", "nvme 61440 4 nvme_tcp, Live 0xffffffffc0200000\n");
    assert_eq!(lookups.refresh().renamed.len(), 1, "one was loaded again");
    assert_eq!(name_of(&mut lookups, table("kernel-symbol"), &address), Some("after".into()));
}

#[test]
fn pci_numbers_have_names_as_soon_as_there_is_a_database() {
    let folder = Folder::new("pci");
    let mut lookups = folder.lookups();
    let vendor = 0x8086u16.to_le_bytes();
    assert_eq!(name_of(&mut lookups, table("pci-vendor"), &vendor), None, "no database");
    let misc = folder.0.join("share/misc");
    fs::create_dir_all(&misc).unwrap();
    let ids = "# comment\n0e11  Compaq\n\t0001  PCI to EISA\n8086  Intel Corporation\n\t1572  Ethernet X710\n\
               \t\t1028 0000  a subsystem\n\n\t9999  no one's\nC 02  Network controller\n\t00  Ethernet controller\n\t\t01  x\n";
    fs::write(misc.join("pci.ids"), ids).unwrap();
    assert_eq!(lookups.refresh().renamed.len(), 1, "the database has come");
    assert_eq!(name_of(&mut lookups, table("pci-vendor"), &vendor), Some("Intel Corporation".into()));
    for (asked, number, name) in [
        (table("pci-device"), 0x8086_1572u32, "Ethernet X710"),
        (table("pci-device"), 0x0e11_0001, "PCI to EISA"),
        (table("pci-device"), 0x8086_9999, ""),
        (table("pci-vendor"), 0x1af4, ""),
        (table("pci-class"), 0x02, "Network controller"),
        (table("pci-subclass"), 0x0200, "Ethernet controller"),
        (table("pci-subclass"), 0x0201, ""),
    ] {
        assert_eq!(name_of(&mut lookups, asked, &number.to_le_bytes()), Some(name.into()), "{asked:?} {number:#x}");
    }
    fs::remove_file(misc.join("pci.ids")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, b"8086  Intel, packed\n").unwrap();
    fs::write(misc.join("pci.ids.gz"), packed.finish().unwrap()).unwrap();
    assert_eq!(lookups.refresh().renamed.len(), 5, "those that had names");
    assert_eq!(name_of(&mut lookups, table("pci-vendor"), &vendor), Some("Intel, packed".into()));
}

/// The numbers differ between kernels; this one's tracepoint says what they are.
#[test]
fn dropped_packets_have_the_reason_that_the_kernels_own_tracepoint_prints() {
    let Ok(format) = fs::read_to_string("/sys/kernel/tracing/events/skb/kfree_skb/format") else {
        eprintln!("skipped: needs tracefs at /sys/kernel/tracing");
        return;
    };
    let mut lookups = Lookups::new(&Roots::default());
    let printed = format.split("{ ").skip(1).filter_map(|entry| entry.split_once(" }")?.0.split_once(", "));
    let mut count = 0;
    for (number, name) in printed {
        let key = number.parse::<u32>().unwrap().to_le_bytes();
        assert_eq!(name_of(&mut lookups, table("drop-reason"), &key).as_deref(), Some(name.trim_matches('"')));
        count += 1;
    }
    assert!(count > 10 || format.lines().all(|line| !line.contains("reason")), "found {count} reasons in:\n{format}");
    let name = |number: u32, lookups: &mut Lookups| name_of(lookups, table("drop-reason"), &number.to_le_bytes());
    assert_eq!(name(0x7fff, &mut lookups).as_deref(), Some("NOT_SPECIFIED"), "a number that no kernel has");
}

#[test]
fn without_kernel_types_no_reason_is_specified() {
    let folder = Folder::new("drop-reasons");
    let mut lookups = folder.lookups();
    assert_eq!(name_of(&mut lookups, table("drop-reason"), &[3, 0, 0, 0]).as_deref(), Some("NOT_SPECIFIED"));
}

#[test]
fn every_table_has_its_own_name_and_says_what_it_reads() {
    let roots = Roots::default();
    for (index, table) in tables::REGISTRY.iter().enumerate() {
        assert_eq!(LookupTable::named(table.name), Some(LookupTable::ALL[index]), "{}", table.name);
        assert!(table.sources.iter().all(|source| !source.paths(&roots).is_empty()), "{}", table.name);
    }
    for path in ["/sys/dev/block", "/proc/kallsyms", "/usr/share/misc", "/usr/share/pci.ids.gz", "/var/log/pods"] {
        assert!(readable_paths(&roots).contains(&PathBuf::from(path)), "{path}");
    }
}

/// A package that looked up every stack of the machine made the host keep all of their texts, which no limit counted.
#[test]
fn names_that_take_all_the_room_make_new_ones_wait_until_some_are_dropped() {
    let folder = Folder::new("room");
    let stack = "f\n".repeat(4 << 20);
    let question = |key: u8| (table("kernel-stack"), Box::from([key; 8]));
    let mut lookups = Lookups::recorded((0..8).map(|key| (question(key), Some(stack.clone()))));
    assert!(lookups.bytes() >= limits::LOOKUP_NAME_BYTES && lookups.bytes() < limits::LOOKUP_NAME_BYTES + 100);
    folder.disk("8:0", "sda");
    let disks = table("disk");
    for _ in 0..2 {
        assert_eq!(lookups.find(disks, &kernel_number(8, 0)), Found::NotYet);
        assert_eq!(lookups.find(question(1).0, &question(1).1), Found::Name(stack.clone()), "kept names are found");
    }
    assert!(lookups.is_full());
    let warnings = lookups.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("looked-up names take 64 MiB"), "{warnings:?}");
    assert!(lookups.warnings().is_empty(), "it is said once");
    lookups.retain(|asked| *asked != question(0));
    assert!(!lookups.is_full());
    assert_eq!(lookups.find(disks, &kernel_number(8, 0)), Found::Unknown);
}
