//! A virtual machine: a Debian kernel, an initramfs with the files for the test, and the output of its console.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
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
    /// Further arguments of QEMU: devices.
    devices: Vec<String>,
    /// Arguments of `-smp` on x86.
    cpus: &'static str,
    /// Further parameters of the kernel.
    parameters: &'static str,
    /// MiB of memory.
    mebibytes: u32,
    /// After which a machine that hangs is stopped.
    seconds: u32,
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

    /// The same with the kernel for all hardware, which has its drivers as modules.
    pub(crate) fn x86_with_modules(line: &str, init: &'static str) -> Self {
        Self::new(Machine::X86, Kernel::with_modules(line, "amd64"), &which("busybox"), init)
    }

    /// An arm64 machine with one CPU and a PMU.
    pub(crate) fn arm(line: &str, init: &'static str) -> Self {
        let kernel = Kernel::of(line, "arm64");
        let busybox = kernel.file("bin/busybox");
        Self::new(Machine::Arm, kernel, &busybox, init)
    }

    fn new(machine: Machine, kernel: Kernel, busybox: &Path, init: &'static str) -> Self {
        let guest = Self {
            machine,
            kernel,
            init,
            folder: Folder::new(),
            devices: Vec::new(),
            cpus: "2",
            parameters: "",
            mebibytes: 1024,
            seconds: 900,
        };
        guest.put(busybox, "bin/busybox");
        for (script, to) in [("start", "start"), (init, "init")] {
            guest.put(&workspace().join("tests/guest").join(script), to);
        }
        guest
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// Adds arguments of QEMU, separated by spaces.
    pub(crate) fn with_devices(mut self, arguments: &str) -> Self {
        self.devices.extend(arguments.split_whitespace().map(str::to_owned));
        self
    }

    /// Sets the CPUs of an x86 machine, as QEMU's `-smp` takes them.
    pub(crate) fn with_cpus(self, cpus: &'static str) -> Self {
        Self { cpus, ..self }
    }

    /// Sets parameters of the kernel.
    pub(crate) fn with_parameters(self, parameters: &'static str) -> Self {
        Self { parameters, ..self }
    }

    /// Sets the size of a larger machine, and for how long it may run.
    pub(crate) fn with_room(self, mebibytes: u32, seconds: u32) -> Self {
        Self { mebibytes, seconds, ..self }
    }

    /// Makes a file of zeros for a disk of the machine; returns its path.
    pub(crate) fn disk_image(&self, bytes: u64) -> PathBuf {
        let path = self.folder.path().join("disk");
        fs::File::create(&path).and_then(|file| file.set_len(bytes)).expect("a file in our own folder");
        path
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

    /// Replaces a passage of a text file in the initramfs; the passage must exist.
    pub(crate) fn amend(&self, file: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.root().join(file)).expect("a file that was put there");
        assert!(text.contains(from), "{file} has no `{from}`:\n{text}");
        self.write(file, text.replacen(from, to, 1).as_bytes());
    }

    /// Copies the host that was built with the tests, and its libraries.
    pub(crate) fn put_ebhost(&self) {
        self.put_program(&binary(), "ebhost");
    }

    /// Copies a tool of this machine, and its libraries.
    pub(crate) fn put_tool(&self, name: &str) {
        self.put_program(&which(name), name);
    }

    /// Copies a program to `/bin/NAME`, and its libraries.
    pub(crate) fn put_program(&self, program: &Path, name: &str) {
        self.put(program, &format!("bin/{name}"));
        let listed = output(Command::new("ldd").arg(program));
        for library in listed.split_whitespace().filter(|word| word.starts_with('/')) {
            self.put(Path::new(library), &library[1..]);
        }
    }

    /// Copies the kernel's build configuration to where it is installed.
    pub(crate) fn put_kernel_config(&self) {
        self.put(&self.kernel.config(), &format!("boot/config-{}", self.kernel.release()));
    }

    /// Copies a module of the kernel, unless it is built in.
    pub(crate) fn put_module(&self, name: &str) {
        if let Some(module) = self.kernel.module(name) {
            self.write(&format!("modules/{name}.ko"), &module);
        }
    }

    /// Copies modules of the kernel and those that they need. The guest loads them in the order of `/modules/order`.
    pub(crate) fn put_modules(&self, names: &[&str]) {
        let mut order = Vec::new();
        names.iter().for_each(|name| self.put_with_needs(name, &mut order));
        self.write("modules/order", order.join("\n").as_bytes());
    }

    fn put_with_needs(&self, name: &str, order: &mut Vec<String>) {
        let name = name.replace('-', "_");
        if order.contains(&name) {
            return;
        }
        let Some(module) = self.kernel.module(&name) else { return };
        // Its information is a list of texts that end with a zero.
        let mut texts = module.split(|byte| *byte == 0).filter_map(|text| str::from_utf8(text).ok());
        let needs = texts.find_map(|text| text.strip_prefix("depends=")).unwrap_or_default().to_owned();
        needs.split(',').filter(|need| !need.is_empty()).for_each(|need| self.put_with_needs(need, order));
        self.write(&format!("modules/{name}.ko"), &module);
        order.push(name);
    }

    /// Writes a file of the initramfs.
    pub(crate) fn write(&self, to: &str, bytes: &[u8]) {
        let path = self.root().join(to);
        fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder in our own");
        fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Writes an executable file of the initramfs.
    pub(crate) fn write_script(&self, to: &str, text: &str) {
        self.write(to, text.as_bytes());
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.root().join(to), mode).expect("our own file");
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
            // All CPUs are emulated in one thread. In several, QEMU now and then runs the breakpoint by which one CPU patches the code of
            // another after it was removed, which the kernel takes for a fault ("Oops: int3").
            Machine::X86 => (format!("qemu-system-x86_64 -accel tcg,thread=single -smp {}", self.cpus), "ttyS0"),
            // QEMU counts instructions only with this setting, and only on one CPU.
            Machine::Arm => {
                ("qemu-system-aarch64 -M virt -cpu max -smp 1 -icount shift=1,sleep=off".to_owned(), "ttyAMA0")
            }
        };
        // The machine shuts itself down after seconds; `timeout` ends one that hangs, and none that is slow because this machine is busy. It does not
        // wait for other programs: a guest takes the time that it waits for its own, and judges what runs in it by that.
        let mut command = Command::new("nice");
        command.args(["-n", "-20", "timeout"]).arg(self.seconds.to_string()).args(qemu.split(' ')).args(&self.devices);
        command.args("-nodefaults -no-reboot -display none -serial stdio".split(' '));
        command.arg("-m").arg(self.mebibytes.to_string()).arg("-append");
        let parameters = format!("console={console} panic=-1 loglevel=3 lsm=bpf {}", self.parameters);
        command.arg(parameters).arg("-kernel").arg(self.kernel.image());
        let console = output(command.arg("-initrd").arg(initramfs));
        assert!(console.contains("== end"), "the guest did not come to its end:\n{console}");
        let console = console.replace('\r', "");
        // Shows what a failed assertion was about.
        let name = format!("guest-{}-{}.console", self.init.replace('/', "-"), self.kernel.line);
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
