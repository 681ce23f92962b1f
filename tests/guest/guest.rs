//! A virtual machine: a Debian kernel, an initramfs with the files for the test, and the output of its console.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use ebhost_tests::{Exposition, Folder, Format, binary, output, target, workspace};

use crate::kernel::Kernel;

pub(crate) struct Guest {
    machine: Machine,
    kernel: Kernel,
    init: &'static str,
    folder: Folder,
}

#[derive(Clone, Copy)]
enum Machine {
    X86,
    Arm,
}

/// The output of the console.
pub(crate) struct Console(String);

impl Guest {
    /// A machine with two CPUs and a kernel of this series. `init` is the name of a script next to this file.
    pub(crate) fn x86(line: &str, init: &'static str) -> Self {
        Self::new(Machine::X86, Kernel::of(line, "amd64"), &which("busybox"), init)
    }

    /// An arm64 machine with one CPU and a PMU.
    pub(crate) fn arm(line: &str, init: &'static str) -> Self {
        let kernel = Kernel::of(line, "arm64");
        let busybox = kernel.file("bin/busybox");
        Self::new(Machine::Arm, kernel, &busybox, init)
    }

    fn new(machine: Machine, kernel: Kernel, busybox: &Path, init: &'static str) -> Self {
        let guest = Self { machine, kernel, init, folder: Folder::new() };
        guest.put(busybox, "bin/busybox");
        for (script, to) in [("start", "start"), (init, "init")] {
            guest.put(&workspace().join("tests/guest").join(script), to);
        }
        guest
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Copies a file or a folder into the initramfs.
    pub(crate) fn put(&self, from: &Path, to: &str) {
        let path = self.root().join(to);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder in our own");
        if from.is_dir() {
            output(Command::new("cp").arg("-r").arg(from).arg(&path));
        } else {
            fs::copy(from, &path).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
    }

    /// Copies the host that was built with the tests, and its libraries.
    pub(crate) fn put_ebhost(&self) {
        self.put(&binary(), "bin/ebhost");
        let listed = output(Command::new("ldd").arg(binary()));
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            self.put(Path::new(library), &library[1..]);
        }
    }

    /// The kernel's build configuration.
    pub(crate) fn kernel_config(&self) -> PathBuf {
        self.kernel.config()
    }

    /// Copies a module of the kernel, unless it is built in.
    pub(crate) fn put_module(&self, name: &str) {
        if let Some(file) = self.kernel.module(name) {
            self.put(&file, &format!("modules/{name}.ko"));
        }
    }

    /// Builds and copies a module from a folder with its sources.
    pub(crate) fn build_module(&self, sources: &Path, name: &str) {
        let built = self.folder.path().join(name);
        output(Command::new("cp").arg("-r").arg(sources).arg(&built));
        self.kernel.build(&built);
        self.put(&built.join(format!("{name}.ko")), &format!("modules/{name}.ko"));
    }

    pub(crate) fn boot(&self) -> Console {
        let initramfs = self.folder.path().join("initramfs");
        let pack =
            format!("cd {} && find . | cpio -o -H newc --quiet > {}", self.root().display(), initramfs.display());
        output(Command::new("sh").args(["-c", &pack]));
        let (qemu, console) = match self.machine {
            Machine::X86 => ("qemu-system-x86_64 -smp 2", "ttyS0"),
            // QEMU counts instructions only with this setting, and only on one CPU.
            Machine::Arm => ("qemu-system-aarch64 -M virt -cpu max -smp 1 -icount shift=1,sleep=off", "ttyAMA0"),
        };
        // The machine shuts itself down; `timeout` ends one that hangs.
        let mut command = Command::new("timeout");
        command.arg("300").args(qemu.split(' '));
        command.args("-nodefaults -no-reboot -display none -serial stdio -m 1024 -append".split(' '));
        command.arg(format!("console={console} panic=-1 loglevel=3 lsm=bpf")).arg("-kernel").arg(self.kernel.image());
        let console = output(command.arg("-initrd").arg(initramfs));
        assert!(console.contains("== end"), "the guest did not come to its end:\n{console}");
        let console = console.replace('\r', "");
        // Shows what a failed assertion was about.
        let name = format!("guest-{}-{}.console", self.init, self.kernel.line);
        fs::write(target().join(name), &console).expect("cargo's folder");
        Console(console)
    }
}

impl Console {
    /// The lines between `== name` and the next such line.
    pub(crate) fn section(&self, name: &str) -> &str {
        let start = format!("== {name}\n");
        let after = self.0.split_once(&start).unwrap_or_else(|| panic!("no `{name}` in:\n{}", self.0)).1;
        after.split_once("\n== ").map_or(after, |(section, _)| section).trim()
    }

    /// The exposition in a section.
    pub(crate) fn served(&self, name: &str) -> Exposition {
        let text = format!("{}\n", self.section(name));
        Exposition::parse(&text, Format::Text).unwrap_or_else(|fault| panic!("{name}: {fault}\n{text}"))
    }

    pub(crate) fn numbers(&self, name: &str) -> Vec<f64> {
        self.section(name).split_whitespace().map(|field| field.parse().expect("the section holds numbers")).collect()
    }
}

fn which(tool: &str) -> PathBuf {
    PathBuf::from(output(Command::new("which").arg(tool)).trim())
}
