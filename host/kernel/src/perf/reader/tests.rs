//! A source on a list of CPUs that the test writes, with software events, which any machine has.

use std::fs;

use super::{super::Start, *};

struct Machine(PathBuf);

impl Machine {
    fn new(name: &str, online: &str) -> Self {
        let file = std::env::temp_dir().join(format!("ebhost-online-{}-{name}", std::process::id()));
        fs::write(&file, online).unwrap();
        Self(file)
    }

    fn set(&self, online: &str) {
        fs::write(&self.0, online).unwrap();
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn keys(reader: &mut PerfReader) -> Vec<u32> {
    let Keys::Bytes { size: 4, bytes } = &reader.read().unwrap().keys else { panic!("keys of 4 bytes") };
    bytes.chunks_exact(4).map(|key| u32::from_le_bytes(key.try_into().unwrap())).collect()
}

/// One that opens in the thread of the test.
fn opener() -> Opener {
    Opener::start(ebhost_confine::NONE, Start::default())
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_cpu_that_goes_loses_its_row_and_one_that_comes_begins_anew() {
    if !is_root() {
        return;
    }
    let machine = Machine::new("hotplug", "0\n");
    let mut reader = PerfReader::with_cpus("s", &[Event::fixed(1, 0), Event::fixed(1, 3)], opener(), &machine.0);
    assert_eq!((keys(&mut reader), reader.snapshot().complete), (vec![0], true));
    let states: Vec<_> = reader.states().map(|event| (event.event.to_owned(), event.cpu, event.state)).collect();
    assert_eq!(
        states,
        [("software/cpu-clock".into(), 0, State::Live), ("software/context-switches".into(), 0, State::Live)]
    );
    let clock = |reader: &PerfReader| u64::from_le_bytes(reader.snapshot().values[..8].try_into().unwrap());
    let before = clock(&reader);
    machine.set("\n");
    assert_eq!(keys(&mut reader), [0; 0]);
    assert!(reader.snapshot().complete && reader.states().next().is_none());
    machine.set("0");
    std::thread::sleep(std::time::Duration::from_millis(2));
    assert_eq!(keys(&mut reader), [0]);
    assert!(clock(&reader) < before.max(1_000_000), "a new counter, which has not counted the time without one");
    assert_eq!(reader.news(), [""; 0], "nothing went wrong");
}

#[test]
fn an_event_that_cannot_be_opened_has_a_reason_and_no_row() {
    let machine = Machine::new("absent", "0");
    // No kernel has a hardware event of this number.
    let mut reader = PerfReader::with_cpus("s", &[Event::fixed(1, 9), Event::fixed(0, 77)], opener(), &machine.0);
    assert_eq!((keys(&mut reader), reader.snapshot().complete), (vec![], true));
    let states: Vec<_> = reader.states().map(|event| event.state).collect();
    assert_eq!(states, [State::Absent, State::Absent]);
    let news = reader.news();
    assert!(news.len() == 1 && news[0].contains("of `s` is absent, and with it its group, on CPU 0: "), "{news:?}");
    reader.read().unwrap();
    assert_eq!(reader.news(), [""; 0], "reported once");
}

#[test]
fn an_unreadable_list_of_cpus_is_an_error_and_ends_nothing() {
    let mut reader = PerfReader::with_cpus("s", &[Event::fixed(1, 9)], opener(), Path::new("/nowhere"));
    assert!(reader.read().unwrap_err().to_string().contains("/nowhere cannot be read"));
    assert!(!reader.snapshot().complete);
}

#[test]
fn runs_of_cpus_are_short() {
    assert_eq!((list(&[3]), list(&[0, 1, 2]), list(&[0, 2])), ("CPU 3".into(), "CPUs 0-2".into(), "CPUs 0,2".into()));
}
