//! The Debian packages that the tests need: installed if possible, and otherwise listed.

use std::process::{Command, Stdio};

use crate::error::Result;
use crate::process::{find, is_root, run};

/// A program that tests need, or the path of a library.
struct Tool {
    program: &'static str,
    package: &'static str,
    /// The tests that are skipped without it.
    tests: &'static str,
}

const WASM_RUNTIME: &str = "/usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a";

const TOOLS: [Tool; 29] = [
    Tool { program: "fio", package: "fio", tests: "counts and latencies under load" },
    Tool { program: "prometheus", package: "prometheus", tests: "scrapes by Prometheus, promtool" },
    Tool { program: "clang-19", package: "clang-19", tests: "faulty BPF objects, built for the test" },
    Tool { program: "llvm-objcopy-19", package: "llvm-19", tests: "faulty BPF objects, built for the test" },
    Tool { program: "clang-14", package: "clang-14", tests: "BPF objects of another compiler" },
    Tool { program: "bpf-gcc", package: "gcc-bpf", tests: "BPF objects of another compiler" },
    Tool { program: "wasm-ld-19", package: "lld-19", tests: "components in C" },
    Tool { program: "/usr/lib/wasm32-wasi/libc.a", package: "wasi-libc", tests: "components in C" },
    Tool { program: WASM_RUNTIME, package: "libclang-rt-19-dev-wasm32", tests: "components in C" },
    Tool { program: "node", package: "nodejs", tests: "components in JavaScript" },
    Tool { program: "npm", package: "npm", tests: "components in JavaScript" },
    Tool { program: "mkfs.ext4", package: "e2fsprogs", tests: "counts under a file system" },
    Tool { program: "chromium", package: "chromium", tests: "the live page in a browser" },
    Tool { program: "jsonnet", package: "jsonnet", tests: "the mixin of dashboards and alerts" },
    Tool { program: "curl", package: "curl", tests: "TLS, users, unix sockets" },
    Tool { program: "openssl", package: "openssl", tests: "TLS" },
    Tool { program: "systemd-socket-activate", package: "systemd", tests: "socket activation" },
    Tool { program: "strace", package: "strace", tests: "system calls of a scrape" },
    Tool { program: "qemu-system-x86_64", package: "qemu-system-x86", tests: "other kernels, in a virtual machine" },
    Tool { program: "busybox", package: "busybox-static", tests: "other kernels, in a virtual machine" },
    Tool { program: "qemu-system-aarch64", package: "qemu-system-arm", tests: "a PMU, in a virtual machine" },
    Tool { program: "gcc-12", package: "gcc-12", tests: "a synthetic PMU, in a virtual machine" },
    Tool { program: "make", package: "make", tests: "a synthetic PMU, in a virtual machine" },
    Tool { program: "lspci", package: "pciutils", tests: "names of PCI devices compared with lspci's" },
    Tool { program: "perf", package: "linux-perf", tests: "counts compared with those of perf" },
    Tool { program: "xz", package: "xz-utils", tests: "modules of other kernels, in a virtual machine" },
    Tool { program: "ip", package: "iproute2", tests: "network packages, in a network namespace" },
    Tool { program: "dnsmasq", package: "dnsmasq-base", tests: "latencies of DNS" },
    Tool { program: "cpio", package: "cpio", tests: "other kernels, in a virtual machine" },
];

/// Services that Debian starts when it installs a package. The tests need only the programs.
const SERVICES: [&str; 2] = ["prometheus", "prometheus-node-exporter"];

/// Installs missing tools, if this is Debian and the user is root. Returns a sentence for each tool that is still missing.
pub(crate) fn provide() -> Vec<String> {
    let missing: Vec<_> = TOOLS.iter().filter(|tool| find(tool.program).is_none()).collect();
    if !missing.is_empty() && is_root() && find("apt-get").is_some() {
        let packages: Vec<_> = missing.iter().map(|tool| tool.package).collect();
        println!("installing {}", packages.join(", "));
        if let Err(error) = install(&packages) {
            println!("{error}");
        }
    }
    let still = missing.into_iter().filter(|tool| find(tool.program).is_none());
    still.map(|tool| format!("{}: skipped without {} (package {})", tool.tests, tool.program, tool.package)).collect()
}

fn install(packages: &[&str]) -> Result<()> {
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        command
    };
    run(apt().args(["update", "-q"]))?;
    let installed = run(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(packages));
    if find("systemctl").is_some() {
        for service in SERVICES {
            // This fails if systemd does not run or the service does not exist: then nothing was started.
            let _ = Command::new("systemctl").args(["disable", "--now", service]).stderr(Stdio::null()).status();
        }
    }
    installed
}
