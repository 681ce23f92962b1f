//! Disks for one test: loop devices, so that all I/O on them comes from the test and the kernel.

use std::{
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::{
    folder::{Folder, built},
    process::{Running, output, wait_until},
    sys::{LoopControl, control_loop},
};

const MIB: u64 = 1 << 20;

/// A loop device. Detached on drop, and its backing file removed.
#[derive(Debug)]
pub struct Disk {
    name: String,
    /// The last open handle of the device. The kernel detaches the device when it is closed, even if the test is
    /// killed.
    held: Option<File>,
    _folder: Folder,
    server: Option<Running>,
}

/// A block device with nothing behind it: it has a number and a name. Removed on drop.
#[derive(Debug)]
pub struct Plugged(u32);

/// A file system that is mounted in a temporary folder. Unmounted on drop.
#[derive(Debug)]
pub struct Mounted(Folder);

/// `/sys/block/NAME/stat`: the completed requests, and those in flight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    pub reads: u64,
    pub writes: u64,
    pub discards: u64,
    pub flushes: u64,
    pub in_flight: u64,
}

impl Plugged {
    /// Adds a loop device with a number that is free.
    pub fn plug_in() -> Self {
        let number = (200..300).find(|number| control_loop(LoopControl::Add, *number).is_ok());
        Self(number.expect("a loop device that nobody has, below 300"))
    }

    pub fn name(&self) -> String {
        format!("loop{}", self.0)
    }

    /// The major and minor number.
    pub fn number(&self) -> (u32, u32) {
        let file = format!("/sys/block/{}/dev", self.name());
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (major, minor) = text.trim().split_once(':').expect("two numbers");
        (major.parse().expect("a number"), minor.parse().expect("a number"))
    }
}

impl Drop for Plugged {
    fn drop(&mut self) {
        // Another process, such as udev, may have a new disk open for a moment.
        let is_gone = (0..100).any(|_| {
            control_loop(LoopControl::Remove, self.0).is_ok() || {
                thread::sleep(Duration::from_millis(20));
                false
            }
        });
        if !is_gone {
            eprintln!("{} stays", self.name());
        }
    }
}

impl Disk {
    /// A disk over a 128 MiB file in the temporary folder. It supports discards.
    pub fn file_backed() -> Self {
        Self::of_file_in(Folder::new())
    }

    /// A disk over a 128 MiB file in memory. It supports discards. No interrupt of another disk is involved in its I/O.
    pub fn in_memory() -> Self {
        Self::of_file_in(Folder::in_memory())
    }

    fn of_file_in(folder: Folder) -> Self {
        let file = folder.path().join("disk");
        File::create(&file).and_then(|file| file.set_len(128 * MIB)).expect("a file in our own folder");
        Self::over(&file, folder, None)
    }

    /// A disk on which every read and write takes this long.
    pub fn delayed(delay: Duration) -> Self {
        let folder = Folder::new();
        // The helper `src/bin/slow_file.rs`, which cargo builds with the tests.
        let mut command = Command::new(built("slow_file"));
        command.arg(folder.path()).arg(delay.as_micros().to_string()).arg((64 * MIB).to_string());
        let mut server = Running::start(command.stdout(Stdio::piped()));
        let mut ready = String::new();
        let stdout = server.child().stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut ready).expect("its first line is text");
        assert_eq!(ready, "ready\n", "the file system of the slow file is not mounted");
        let disk = Self::over(&folder.path().join("disk"), folder, Some(server));
        let is_direct = disk.attribute("loop/dio");
        assert_eq!(is_direct, "1", "{} caches what is below it, so its latencies are not the file's", disk.name);
        // The device keeps the file open: the folder can be reused, and the file system ends with the device.
        output(Command::new("umount").arg("--lazy").arg(disk._folder.path()));
        disk
    }

    fn over(file: &Path, folder: Folder, server: Option<Running>) -> Self {
        let device = output(Command::new("losetup").args(["--find", "--show", "--direct-io=on"]).arg(file));
        let device = device.trim();
        let held = OpenOptions::new().read(true).open(device).expect("the device that was just made");
        // While the device is open this only makes the kernel detach it when it is closed for the last time.
        output(Command::new("losetup").args(["--detach", device]));
        let name = device.trim_start_matches("/dev/").to_owned();
        Self { name, held: Some(held), _folder: folder, server }
    }

    /// The name in /sys/block and in the label `device`.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn device(&self) -> PathBuf {
        Path::new("/dev").join(&self.name)
    }

    /// The device number, `MAJOR:MINOR`.
    pub fn number(&self) -> String {
        self.attribute("dev")
    }

    /// Reads one of the disk's files in /sys/block.
    pub fn attribute(&self, name: &str) -> String {
        let path = self.sysfs(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())).trim().to_owned()
    }

    pub fn set(&self, name: &str, value: &str) {
        let path = self.sysfs(name);
        fs::write(&path, value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    pub fn stat(&self) -> Stat {
        Stat::parse(&self.attribute("stat"))
    }

    /// The time that all reads of the disk took together, and all writes, by the kernel's own account.
    pub fn times(&self) -> [Duration; 2] {
        let stat = self.attribute("stat");
        let fields: Vec<&str> = stat.split_whitespace().collect();
        [3, 7].map(|field| Duration::from_millis(fields[field].parse().expect("a number")))
    }

    /// Calls `look` until nothing happened on the disk meanwhile; returns its result and the kernel's counts at that
    /// moment.
    pub fn at_rest<T>(&self, mut look: impl FnMut() -> T) -> (T, Stat) {
        wait_until("a disk without I/O", Duration::from_secs(20), || {
            let before = self.stat();
            // BPF programs see a request a moment before or after the kernel counts it.
            thread::sleep(Duration::from_millis(50));
            let seen = look();
            (before.in_flight == 0 && self.stat() == before).then_some((seen, before))
        })
    }

    /// Mounts the file system on the disk, until the returned value is dropped.
    pub fn mount(&self) -> Mounted {
        let folder = Folder::new();
        output(Command::new("mount").arg(self.device()).arg(folder.path()));
        Mounted(folder)
    }

    fn sysfs(&self, name: &str) -> PathBuf {
        Path::new("/sys/block").join(&self.name).join(name)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The device first: while it has requests in flight, only its server can answer them.
        self.held = None;
        if let Some(server) = &mut self.server {
            let gone = (0..250).any(|_| {
                thread::sleep(Duration::from_millis(20));
                server.ended().is_some()
            });
            if !gone {
                eprintln!("{}: somebody else holds it still", self.name);
            }
        }
    }
}

impl Mounted {
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path().display());
        }
    }
}

impl Stat {
    /// Reads the file of a disk.
    pub fn of(disk: &str) -> Self {
        let file = format!("/sys/block/{disk}/stat");
        Self::parse(&fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}")))
    }

    fn parse(text: &str) -> Self {
        let fields: Vec<u64> = text.split_whitespace().map(|field| field.parse().expect("a number")).collect();
        assert!(fields.len() >= 17, "a kernel since 5.5 has 17 fields, found {text}");
        Self { reads: fields[0], writes: fields[4], in_flight: fields[8], discards: fields[11], flushes: fields[15] }
    }
}

impl std::ops::Sub for Stat {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            discards: self.discards - before.discards,
            flushes: self.flushes - before.flushes,
            in_flight: self.in_flight,
        }
    }
}
