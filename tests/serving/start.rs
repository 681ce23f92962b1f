//! The start as a service manager sees it: notifications in their order, signals that come early, the limit on open files.

use std::{
    fs,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Folder, Running, Start, binary, committed, needs, target, wait_until};
use rustix::process::Signal;

const PATIENCE: Duration = Duration::from_secs(60);

/// A service manager's socket, and a host that notifies it.
struct Service {
    socket: UnixDatagram,
    host: Running,
}

impl Service {
    fn start(socket: UnixDatagram, name: &str, plugins: &Path) -> Self {
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let mut command = Command::new(binary());
        command.args(["--web.listen-address", "127.0.0.1:0", "--plugins"]).arg(plugins);
        command.env("NOTIFY_SOCKET", name).env("CACHE_DIRECTORY", target().join("ebhost-cache"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Self { socket, host: Running::start(&mut command) }
    }

    /// The first line of the next message.
    fn next(&self) -> String {
        let mut message = [0; 256];
        let length = self.socket.recv(&mut message).expect("a message of the host in time");
        String::from_utf8_lossy(&message[..length]).lines().next().unwrap_or_default().to_owned()
    }

    /// Waits until SIGHUP has a handler.
    fn receives_hangups(&self) {
        let caught = || {
            let status = fs::read_to_string(format!("/proc/{}/status", self.host.pid())).expect("it runs");
            let set = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a set of signals");
            (u64::from_str_radix(set.trim(), 16).expect("hexadecimal") & 1 == 1).then_some(())
        };
        wait_until("the handler of SIGHUP", PATIENCE, caught);
    }

    fn stop(mut self) {
        self.host.terminate();
        assert_eq!(self.next(), "STOPPING=1");
        assert!(self.host.wait(PATIENCE).success());
    }
}

fn at_path(folder: &Folder, plugins: &Path) -> Service {
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("our own folder");
    Service::start(socket, path.to_str().expect("a path of text"), plugins)
}

/// `systemctl reload` right after `systemctl start`: the signal neither ends the process nor makes it ready before it is.
#[test]
fn a_hangup_during_the_start_is_answered_after_it() {
    needs!(Root);
    let (folder, sockets) = (Folder::with_biolatency(), Folder::new());
    let service = at_path(&sockets, folder.path());
    service.receives_hangups();
    service.host.tell(Signal::HUP);
    assert_eq!(service.next(), "READY=1");
    assert_eq!(service.next(), "RELOADING=1");
    assert_eq!(service.next(), "READY=1");
    service.stop();
}

/// What waits for `systemctl reload` (Type=notify-reload) may use what was reloaded.
#[test]
fn a_reload_is_ready_when_the_packages_are_reloaded() {
    needs!(Root);
    let (folder, sockets) = (Folder::new(), Folder::new());
    folder.copy(&committed().join("llcstat"));
    let service = at_path(&sockets, folder.path());
    assert_eq!(service.next(), "READY=1");
    let programs = || {
        let files = fs::read_dir(format!("/proc/{}/fdinfo", service.host.pid())).expect("it runs").flatten();
        let infos = files.filter_map(|file| fs::read_to_string(file.path()).ok());
        infos.filter(|info| info.contains("prog_id:")).count()
    };
    assert_eq!(programs(), 0);
    folder.add("biolatency");
    service.host.tell(Signal::HUP);
    assert_eq!(service.next(), "RELOADING=1");
    assert_eq!(service.next(), "READY=1");
    assert!(programs() >= 3, "the new package's programs are loaded: issue, completion and requeue");
    service.stop();
}

/// Landlock keeps abstract sockets of others out of reach, but for those that were connected before.
#[test]
fn an_abstract_notification_socket_is_reached() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    let name = format!("ebhost-tests-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let socket = UnixDatagram::bind_addr(&address).expect("a free name");
    let service = Service::start(socket, &format!("@{name}"), folder.path());
    assert_eq!(service.next(), "READY=1");
    service.stop();
}

/// systemd's soft limit is 1024, which two perf events exceed on a machine of 512 CPUs.
#[test]
fn the_limit_on_open_files_is_raised() {
    needs!(Root, Tool("prlimit"));
    let folder = Folder::with_biolatency();
    let host = Start::by(&["prlimit", "--nofile=256:4096"], folder.path()).listening();
    assert_eq!(host.scrape().value("process_max_fds", &[]), Some(4096.0));
    host.stop();
}
