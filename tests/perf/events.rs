//! Ring buffers and perf event arrays as sources: an entry is an event, and each event that was written is counted or
//! counted as lost.

use std::{fs, time::Duration};

use ebhost_tests::{Ebhost, Exposition, Folder, alone, needs, wait_until, workspace};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::toucher::Toucher;

/// The package `maps` with both buffers: each getppid(2) of the process writes an event into both.
fn buffers(of: &Toucher, ring_bytes: u32) -> Folder {
    let folder = Folder::new();
    let package = folder.path().join("maps");
    fs::create_dir(&package).expect("a new folder in our own");
    for file in ["plugin.yaml", "maps.wasm", "maps.bpf.o"] {
        fs::copy(workspace().join("bench/packages/maps").join(file), package.join(file)).expect("a committed file");
    }
    let globals = format!("globals: {{ targ_tgid: {}, targ_getppid: {} }}", of.pid(), libc::SYS_getppid);
    folder.amend("maps", "programs: []", &format!("programs: [getppid]\n  {globals}"));
    folder.amend("maps", "max_entries: {", &format!("max_entries: {{ ring: {ring_bytes},"));
    folder.amend("maps", "read: [hash]", "read: [ring, output]");
    folder
}

fn counted(served: &Exposition, buffer: &str) -> u64 {
    let name = format!("ebhost_{buffer}_events_total");
    served.samples().filter(|sample| sample.name == name).map(|sample| sample.value as u64).sum()
}

fn own(served: &Exposition, name: &str, buffer: &str) -> u64 {
    served.value(name, &[("plugin", "maps"), ("source", buffer)]).expect("each buffer has it") as u64
}

fn lost(served: &Exposition, buffer: &str) -> u64 {
    own(served, "ebhost_events_lost_total", buffer)
}

#[test]
fn events_are_counted_each_once() {
    needs!(Root);
    let _alone = alone();
    let mut toucher = Toucher::start();
    let host = Ebhost::start(buffers(&toucher, 1 << 20).path());
    toucher.order("getppid 777");
    let first = host.scrape();
    toucher.order("getppid 23");
    let served = host.scrape();
    for buffer in ["ring", "output"] {
        assert_eq!([counted(&first, buffer), counted(&served, buffer)], [777, 800], "{buffer}");
        assert_eq!(own(&served, "ebhost_events_read_total", buffer), 800);
        assert_eq!(lost(&served, buffer), 0);
        // The events are numbered from 1, in eight kinds.
        let kinds = served.samples().filter(|sample| sample.name == format!("ebhost_{buffer}_events_total"));
        assert!(kinds.map(|kind| kind.value).eq([100.0; 8]), "{buffer}");
    }
    host.stop();
}

/// A component that newly reads a buffer cannot have it, because the kernel refuses to map its pages. Once the reason is gone, the same
/// component has it: the attempt that failed took nothing away from what runs, nor from the next attempt.
#[test]
fn a_component_that_could_not_open_its_buffer_opens_it_later() {
    needs!(Root);
    let _alone = alone();
    let mut toucher = Toucher::start();
    let folder = buffers(&toucher, 1 << 20);
    folder.amend("maps", "read: [ring, output]", "read: [ring]");
    let host = Ebhost::start(folder.path());
    toucher.order("getppid 100");
    assert_eq!(counted(&host.scrape(), "ring"), 100);

    let no_pages = NoPerfPages::for_process(host.pid());
    folder.amend("maps", "read: [ring]", "read: [ring, output]");
    host.hang_up();
    let refused = wait_until("the exchange is refused", Duration::from_secs(20), || {
        host.log().lines().into_iter().find(|line| line.text.contains("the version before goes on"))
    });
    assert!(refused.text.contains("map `output`"), "{}", refused.text);
    toucher.order("getppid 10");
    assert_eq!(counted(&host.scrape(), "ring"), 110);

    drop(no_pages);
    host.hang_up();
    wait_until("the exchange takes place", Duration::from_secs(20), || {
        let current = host.scrape().value("ebhost_plugin_current", &[("plugin", "maps")]);
        (current == Some(1.0)).then_some(())
    });
    toucher.order("getppid 1");
    let served = host.scrape();
    assert_eq!([counted(&served, "ring"), counted(&served, "output")], [111, 1]);
    host.stop();
}

/// While it lives, a process without CAP_IPC_LOCK cannot map the buffers of perf events.
struct NoPerfPages {
    setting: String,
    pid: Pid,
    limit: Rlimit,
}

impl NoPerfPages {
    const SETTING: &str = "/proc/sys/kernel/perf_event_mlock_kb";

    fn for_process(pid: u32) -> Self {
        let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
        let maximum = getrlimit(Resource::Memlock).maximum; // the process inherited it
        let limit = prlimit(Some(pid), Resource::Memlock, Rlimit { current: Some(0), maximum }).expect("root may");
        let setting = fs::read_to_string(Self::SETTING).expect("every kernel has it");
        fs::write(Self::SETTING, "0").expect("root may");
        Self { setting, pid, limit }
    }
}

impl Drop for NoPerfPages {
    fn drop(&mut self) {
        let restored = fs::write(Self::SETTING, &self.setting);
        let limit = Rlimit { current: self.limit.current, maximum: self.limit.maximum };
        let raised = prlimit(Some(self.pid), Resource::Memlock, limit);
        restored.and(raised.map(drop).map_err(Into::into)).expect("root may");
    }
}

#[test]
fn events_without_room_are_counted_as_lost() {
    needs!(Root);
    let _alone = alone();
    let mut toucher = Toucher::start();
    let host = Ebhost::start(buffers(&toucher, 4096).path());
    // While nobody empties the buffers: 170 events fit into one page of the first, about 6 500 into the pages of the
    // other.
    host.tell(Signal::STOP);
    toucher.order("getppid 20000");
    host.tell(Signal::CONT);
    // The kernel reports the events that a CPU's buffer lost when that CPU writes the next one.
    let served = wait_until("an event after those that were lost", Duration::from_secs(10), || {
        host.scrape();
        toucher.order("getppid 1");
        let served = host.scrape();
        (lost(&served, "output") > 0).then_some(served)
    });
    assert!(lost(&served, "ring") > 0);
    for buffer in ["ring", "output"] {
        let written = counted(&served, "ring") + lost(&served, "ring");
        assert!(written > 20_000);
        assert_eq!(counted(&served, buffer) + lost(&served, buffer), written, "{buffer}");
        assert_eq!(counted(&served, buffer), own(&served, "ebhost_events_read_total", buffer));
    }
    host.stop();
}
