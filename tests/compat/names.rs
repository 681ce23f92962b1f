//! Names that depend on the machine: kernel symbols, cgroups, PCI devices. Whole families are compared with what this
//! test computes from the same files, without the host's code; PCI devices are compared with a golden file, using a
//! database of the test.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    fs,
    os::unix::fs::MetadataExt as _,
    process::Command,
};

use ebhost_tests::{Cgroup, Ebhost, Folder, needs, output};

use crate::{
    drop_in::{family, put},
    golden::{assert_golden, host_of_decoders, host_of_decoders_with},
};

/// Asserts that a family of `golden`'s decoders has exactly these samples.
fn assert_family(host: &Ebhost, decoder: &str, samples: &[(String, u64)]) {
    let name = format!("ebpf_exporter_{decoder}");
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let line = |(it, value): &(String, u64)| format!("{name}{{it=\"{}\"}} {value}", escaped(it));
    let mut expected = vec![format!("# HELP {name} By {decoder}."), format!("# TYPE {name} counter")];
    expected.extend(samples.iter().map(line));
    let mut found = family(host, &name);
    found[2..].sort();
    expected[2..].sort();
    assert_eq!(found, expected);
}

/// The kernel's symbols from /proc/kallsyms.
struct Symbols(Vec<(u64, String)>);

impl Symbols {
    fn read() -> Self {
        let text = fs::read_to_string("/proc/kallsyms").expect("root reads it");
        let symbol = |line: &str| {
            let mut parts = line.splitn(3, ' ');
            let address = u64::from_str_radix(parts.next()?, 16).ok()?;
            Some((address, parts.nth(1)?.to_owned()))
        };
        Self(text.lines().map(|line| symbol(line).expect("an address, a letter and a name")).collect())
    }

    /// Some symbols of the kernel image that share their address with no other and are longer than a byte, from all
    /// over the list. Programs and other code that is generated at run time may disappear at any moment.
    fn some(&self) -> Vec<(u64, String)> {
        let mut at: HashMap<u64, usize> = HashMap::new();
        self.0.iter().for_each(|(address, _)| *at.entry(*address).or_default() += 1);
        let is_lone = |(address, _): &&(u64, String)| {
            *address > 0 && at[address] == 1 && (1..16).all(|more| !at.contains_key(&(address + more)))
        };
        let is_own = |(_, name): &&(u64, String)| !name.contains('\t');
        let from_each = self.0.chunks(self.0.len() / 20);
        from_each.filter_map(|part| part.iter().filter(is_own).find(is_lone)).cloned().collect()
    }

    /// Addresses of the kernel image that have several names, with the last one, from all over the list.
    fn aliased(&self) -> Vec<(u64, String)> {
        let same = |pair: &&[(u64, String)]| pair[0].0 == pair[1].0 && pair[0].0 > 0 && !pair[1].1.contains('\t');
        let addresses: Vec<_> = self.0.windows(2).filter(same).map(|pair| pair[1].0).collect();
        let step = addresses.len() / 20 + 1;
        let last = |address: &u64| {
            let name = self.before(*address).expect("it is among them");
            (*address, name.to_owned())
        };
        let mut some: Vec<_> = addresses.iter().step_by(step).map(last).collect();
        some.dedup();
        some
    }

    /// A BPF program of this test; its tag follows its name.
    fn program(&self, name: &str) -> &(u64, String) {
        let end = format!("_{name}\t[bpf]");
        self.0.iter().find(|(_, name)| name.ends_with(&end)).expect("the kernel lists compiled programs")
    }

    /// The last symbol that begins at or before an address.
    fn before(&self, address: u64) -> Option<&str> {
        let before = self.0.iter().filter(|(at, _)| (1..=address).contains(at));
        before.max_by_key(|(at, _)| *at).map(|(_, name)| name.as_str())
    }
}

#[test]
fn symbols_are_found_by_their_start_address() {
    needs!(Root, Tool("clang-19"));
    let program = format!("own_{}", std::process::id());
    let (host, _folder) = host_of_decoders(&[], &program);
    let all = Symbols::read();
    let mut symbols = all.some();
    assert!(symbols.len() > 15, "{symbols:?}");
    symbols.push(all.program(&program).clone());
    let mut samples = Vec::new();
    for ((address, name), value) in symbols.into_iter().zip(1..) {
        put(&host, "ksym", &address.to_le_bytes(), value);
        put(&host, "ksym", &(address + 1).to_le_bytes(), value + 100);
        samples.push((name, value));
        samples.push((format!("unknown_addr:{:#x}", address + 1), value + 100));
    }
    put(&host, "ksym", &[0; 8], 7);
    samples.push(("unknown_addr:0x0".to_owned(), 7));
    assert_family(&host, "ksym", &samples);
    host.stop();
}

/// `__x64_sys_sync` and `__do_sys_sync` are one address: a dashboard made for ebpf_exporter has the last name of the list.
#[test]
fn of_several_names_of_an_address_the_last_one_is_shown() {
    needs!(Root, Tool("clang-19"));
    let (host, _folder) = host_of_decoders(&[], "idle");
    let aliased = Symbols::read().aliased();
    assert!(aliased.len() > 5, "{aliased:?}");
    let samples =
        |shown: &[(u64, String)]| (1..).zip(shown).map(|(value, (_, name))| (name.clone(), value)).collect::<Vec<_>>();
    for ((address, _), value) in aliased.iter().zip(1..) {
        put(&host, "ksym", &address.to_le_bytes(), value);
        put(&host, "kstack", &[address + 1, 0, 0].map(u64::to_le_bytes).concat(), value);
    }
    assert_family(&host, "ksym", &samples(&aliased));
    assert_family(&host, "kstack", &samples(&aliased));
    host.stop();
}

/// Calls that have another name in ebpf_exporter than in the kernel.
#[test]
fn system_calls_have_the_names_that_are_asked_for() {
    needs!(Root, Tool("clang-19"));
    let calls = [
        (libc::SYS_read, "read", "read"),
        (libc::SYS_futex, "futex", "futex_time64"),
        (libc::SYS_exit_group, "exit_group", "exit"),
        (libc::SYS_pread64, "pread64", "pread"),
        (libc::SYS_sendfile, "sendfile", "sendfile64"),
        (462, "mseal", "mseal"),
    ];
    for (flag, name_of) in [("kernel", 0), ("ebpf_exporter", 1)] {
        let args = ["--config.strict", "--config.syscall-names", flag];
        let (host, _folder) = host_of_decoders_with(&[], "idle", &args);
        for ((number, ..), value) in calls.iter().zip(1..) {
            put(&host, "syscall", &number.to_le_bytes(), value);
        }
        let names = calls.iter().map(|(_, kernels, others)| [kernels, others][name_of].to_string());
        assert_family(&host, "syscall", &names.zip(1..).collect::<Vec<_>>());
        host.stop();
    }
}

#[test]
fn stacks_are_lists_of_symbols() {
    needs!(Root, Tool("clang-19"));
    let (host, _folder) = host_of_decoders(&[], "idle");
    let symbols = Symbols::read();
    let some = symbols.some();
    let mut stacks: Vec<[u64; 3]> =
        some.windows(3).map(|three| [three[0].0, three[1].0 + 1, three[2].0 + 15]).collect();
    let [one, other] = [some[0].0, some[1].0];
    // After a 0 there are remains of another stack; below the first symbol there is no name.
    stacks.extend([[one + 2, 0, other], [other + 3, 1, one], [0, one, one]]);
    let mut samples: Vec<(String, u64)> = Vec::new();
    for (stack, value) in stacks.into_iter().zip(1..) {
        put(&host, "kstack", &stack.map(u64::to_le_bytes).concat(), value);
        let frames = stack.iter().take_while(|address| **address != 0);
        let names: Vec<_> = frames.map(|address| symbols.before(*address).unwrap_or("??")).collect();
        samples.push((names.join("\n"), value));
    }
    assert!(samples.len() > 15 && samples.iter().any(|(it, _)| it.contains("\n??\n")), "{samples:?}");
    assert_family(&host, "kstack", &samples);
    host.stop();
}

#[test]
fn cgroups_are_named_by_their_folders() {
    needs!(Root, Tool("clang-19"), Cgroup2);
    let (host, _folder) = host_of_decoders(&[], "idle");
    let outer = Cgroup::new(&format!("ebhost-names-{}", std::process::id()));
    let inner = Cgroup::new(&format!("{}/with a \"name\"", &outer.path()[1..]));
    let mut samples = vec![("unknown_cgroup_id:1234567890123".to_owned(), 40)];
    put(&host, "cgroup", &1_234_567_890_123u64.to_le_bytes(), 40);
    let root = inner.folder().ancestors().nth(2).expect("the mount");
    for (folder, value) in [inner.folder(), outer.folder(), root].into_iter().zip(1..) {
        let id = fs::metadata(folder).expect("it was made").ino();
        put(&host, "cgroup", &id.to_le_bytes(), value);
        samples.push((folder.display().to_string(), value));
    }
    assert_family(&host, "cgroup", &samples);
    host.stop();
}

const PCI_IDS: &str = "\
# A comment, and numbers that are in no real database.
f001  First \"Vendor\", Inc.
\t0001  A device
\t\tf001 0001  A subsystem
\tabcd  Another \\ device
f002  Second Vendor
C f3  A class
\t01  A subclass
\t\t02  An interface
";

#[test]
fn pci_numbers_are_looked_up_in_the_database() {
    needs!(Root, Tool("clang-19"), Tool("unshare"), Tool("mount"), File("/usr/share/misc"));
    let folder = Folder::new();
    fs::write(folder.path().join("pci.ids"), PCI_IDS).expect("our own folder");
    // Only the host sees this mount.
    let mounted = format!("mount --bind {} /usr/share/misc && exec \"$@\"", folder.path().display());
    let (host, _configuration) = host_of_decoders(&["unshare", "--mount", "sh", "-c", &mounted, "sh"], "idle");
    let two = |map, number: u16, value| put(&host, map, &number.to_le_bytes(), value);
    for (value, number) in (1..).zip([0xf001, 0xf002, 0x00f3]) {
        two("pci_vendor", number, value);
    }
    for (value, number) in (1..).zip([0xf001_0001u32, 0xf001_abcd, 0xf002_0001, 0x00f3_0001]) {
        put(&host, "pci_device", &number.to_le_bytes(), value);
    }
    for (value, number) in (1..).zip([0xf3u8, 0x01]) {
        put(&host, "pci_class", &[number], value);
    }
    for (value, number) in (1..).zip([0xf301, 0xf302, 0x0101]) {
        two("pci_subclass", number, value);
    }
    assert_golden(&host, "pci.txt");
    host.stop();
}

/// A PCI device as its configuration space has it: vendor, device, class and subclass.
type PciNumbers = (u16, u16, u8, u8);

/// Every 500th device of the database, each with another class.
fn some_devices() -> Vec<PciNumbers> {
    let text = fs::read("/usr/share/misc/pci.ids").expect("Debian's package pci.ids");
    let text = String::from_utf8_lossy(&text);
    let number = |line: &str| u16::from_str_radix(line.get(..4)?, 16).ok();
    let (mut vendor, mut devices) = (None, Vec::new());
    for line in text.lines().take_while(|line| !line.starts_with("C 00")).filter(|line| !line.starts_with('#')) {
        match line.strip_prefix('\t') {
            Some(device) if !device.starts_with('\t') => devices.extend(vendor.zip(number(device))),
            Some(_) => {}
            None => vendor = number(line),
        }
    }
    let classes = [(1, 8), (2, 0), (3, 0), (3, 2), (4, 3), (6, 4), (12, 3), (13, 0x11), (0x12, 0)].into_iter().cycle();
    devices
        .into_iter()
        .step_by(500)
        .zip(classes)
        .map(|((vendor, device), (class, sub))| (vendor, device, class, sub))
        .collect()
}

/// The fields of devices as `lspci` prints them: vendor, device and subclass (which it calls class).
fn lspci(devices: &[PciNumbers], folder: &Folder) -> Vec<[String; 3]> {
    let mut dump = String::new();
    for (index, (vendor, device, class, subclass)) in devices.iter().enumerate() {
        let [vendor, device] =
            [vendor.to_le_bytes(), device.to_le_bytes()].map(|[low, high]| format!("{low:02x} {high:02x}"));
        let _ = writeln!(dump, "{index:02x}:00.0 A device");
        let _ = writeln!(dump, "00: {vendor} {device} 00 00 00 00 00 00 {subclass:02x} {class:02x} 00 00 00 00");
        let zeros = " 00".repeat(16);
        let _ = writeln!(dump, "10:{zeros}\n20:{zeros}\n30:{zeros}\n");
    }
    let file = folder.path().join("dump");
    fs::write(&file, dump).expect("our own folder");
    let text = output(Command::new("lspci").arg("-vmm").arg("-F").arg(&file));
    let field = |block: &str, name: &str| {
        let line = block.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {block}")).trim().to_owned()
    };
    let blocks = text.split("\n\n").filter(|block| !block.trim().is_empty());
    blocks.map(|block| ["Vendor:", "Device:", "Class:"].map(|name| field(block, name))).collect()
}

/// pciutils is the reference for the database.
#[test]
fn pci_names_are_those_of_lspci() {
    needs!(Root, Tool("clang-19"), Tool("lspci"), File("/usr/share/misc/pci.ids"));
    let (host, _folder) = host_of_decoders(&[], "idle");
    let (devices, folder) = (some_devices(), Folder::new());
    assert!(devices.len() > 20, "{}", devices.len());
    let names = lspci(&devices, &folder);
    assert_eq!(names.len(), devices.len());
    let mut expected: HashMap<(&str, String), u64> = HashMap::new();
    let mut written = HashSet::new();
    for ((vendor, device, class, subclass), name) in devices.into_iter().zip(names) {
        let vendor = u32::from(vendor);
        let numbers = [
            ("pci_vendor", vendor),
            ("pci_device", vendor << 16 | u32::from(device)),
            ("pci_subclass", u32::from(class) << 8 | u32::from(subclass)),
        ];
        for ((map, number), name) in numbers.into_iter().zip(name) {
            if written.insert((map, number)) {
                let size = if map == "pci_device" { 4 } else { 2 };
                put(&host, map, &number.to_le_bytes()[..size], 1);
                *expected.entry((map, name)).or_default() += 1;
            }
        }
    }
    for map in ["pci_vendor", "pci_device", "pci_subclass"] {
        let samples =
            expected.iter().filter(|((of, _), _)| *of == map).map(|((_, name), value)| (name.clone(), *value));
        assert_family(&host, map, &samples.collect::<Vec<_>>());
    }
    host.stop();
}
