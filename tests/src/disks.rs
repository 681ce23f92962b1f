//! Many disks at once, which are plugged in for one test and unplugged again.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    process::Command,
    thread,
    time::Duration,
};

use crate::{
    folder::Folder,
    process::output,
    sys::{LoopControl, control_loop},
};

/// The first number that no other test uses.
const FIRST: u32 = 1000;
const BYTES: u64 = 1 << 20;
const BLOCK: usize = 4096;

/// Loop devices over files in memory. They are removed on drop, so that the next ones with the same numbers are other disks to the kernel.
#[derive(Debug)]
pub struct Disks {
    numbers: Range<u32>,
    _folder: Folder,
}

/// A block of memory as direct I/O needs it.
#[repr(align(4096))]
struct Block([u8; BLOCK]);

impl Disks {
    /// Adds this number of disks.
    pub fn plug_in(count: u32) -> Self {
        let disks = Self { numbers: FIRST..FIRST + count, _folder: Folder::in_memory() };
        for number in disks.numbers.clone() {
            let name = name(number);
            control_loop(LoopControl::Add, number).unwrap_or_else(|error| panic!("{name}: {error}"));
            let file = disks._folder.path().join(&name);
            File::create(&file).and_then(|file| file.set_len(BYTES)).expect("a file in our own folder");
            output(Command::new("losetup").arg("--direct-io=on").arg(format!("/dev/{name}")).arg(file));
        }
        disks
    }

    pub fn names(&self) -> impl Iterator<Item = String> {
        self.numbers.clone().map(name)
    }

    /// Makes 6 writes, 4 reads and 2 flushes on each disk.
    pub fn exercise(&self) {
        for name in self.names() {
            exercise(&name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for number in self.numbers.clone() {
            let _ = Command::new("losetup").arg("--detach").arg(format!("/dev/{}", name(number))).output();
            // The kernel detaches it a moment after the last one who had it open.
            let is_gone = (0..100).any(|_| {
                control_loop(LoopControl::Remove, number).is_ok() || {
                    thread::sleep(Duration::from_millis(20));
                    false
                }
            });
            if !is_gone {
                eprintln!("{} stays", name(number));
            }
        }
    }
}

fn name(number: u32) -> String {
    format!("loop{number}")
}

fn exercise(name: &str) -> io::Result<()> {
    let device = OpenOptions::new().read(true).write(true).custom_flags(libc::O_DIRECT).open(format!("/dev/{name}"))?;
    let mut block = Block([7; BLOCK]);
    for round in 0..2u64 {
        for at in 0..3 {
            device.write_all_at(&block.0, (round * 3 + at) * BLOCK as u64)?;
        }
        for at in 0..2 {
            device.read_exact_at(&mut block.0, at * BLOCK as u64)?;
        }
        device.sync_all()?;
    }
    Ok(())
}
