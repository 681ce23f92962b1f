//! Start times by socket and by request, from stamps.h and requests.h: each is taken once.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
};

use ebhost_tests::{Disk, Ebhost, Exposition, Fio, Folder, fewest_counted, needs, output, workspace};

const COUNT: usize = 50;

const PLUGIN: &str = "name: stamps\ncomponent: builtin\nbpf: { object: stamps.bpf.o }\nconfig: { metrics: { counters: [\
                      { name: taken_total, map: taken, help: h, labels: [{ name: slot, size: 4, decoders: [{ name: uint }] }] }] } }\n";

fn write(package: &Path) {
    fs::create_dir_all(package).expect("a folder in our own");
    let mut clang = Command::new("clang-19");
    clang.args(["-target", "bpf", "-mcpu=v3", "-O2", "-g", "-Wall", "-Werror"]);
    clang.arg(format!("-I{}", workspace().join("bpf").display()));
    let source = workspace().join("tests/programs/stamps.bpf.c");
    output(clang.arg("-c").arg(source).arg("-o").arg(package.join("stamps.bpf.o")));
    fs::write(package.join("plugin.yaml"), PLUGIN).expect("our own file");
}

fn taken(served: &Exposition, slot: &str) -> f64 {
    served.value("ebhost_taken_total", &[("slot", slot)]).expect("an array has all its entries")
}

#[test]
fn connections_and_requests_have_a_start_each() {
    needs!(Root, Tool("clang-19"), Tool("fio"));
    let folder = Folder::new();
    write(&folder.path().join("stamps"));
    let host = Ebhost::start(folder.path());
    let first = host.scrape();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let connect = |_| TcpStream::connect(address).expect("it listens");
    let connections: Vec<_> = (0..COUNT).map(connect).collect();
    let disk = Disk::in_memory();
    let requests = Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=200"]).reads.count;
    let last = host.scrape();
    drop(connections);
    let grown = |slot| taken(&last, slot) - taken(&first, slot);
    // Others open connections and do I/O meanwhile.
    let (sockets, completed) = (grown("0"), grown("2"));
    assert!(sockets >= COUNT as f64 && grown("1") > 0.0, "{sockets} connections");
    assert!(completed >= fewest_counted(requests as f64) && grown("3") > 0.0, "{completed} of {requests} requests");
    host.stop();
}
