//! The flight recorder: dumps, SIGUSR1, restarts, and the viewer.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Browser, Disk, Ebhost, Fio, Folder, Running, Start, binary, committed, needs, output, wait_until};
use rustix::process::Signal;

use crate::{LATENCY, SOON, open, text_of};

fn recording(folder: &Path) -> Ebhost {
    let folder = folder.display().to_string();
    Start::with(&committed()).args(&["--recorder.window", "15m", "--recorder.dir", &folder]).listening()
}

/// The numbers of frames and seconds that `ebhost view --summary` says.
fn summary(file: &Path) -> (u64, u64) {
    let said = output(Command::new(binary()).arg("view").arg("--summary").arg(file));
    let (_, rest) = said.split_once(": ").expect("a name and a sentence");
    let words: Vec<_> = rest.split_whitespace().collect();
    (words[0].parse().expect("frames"), words[3].parse().expect("seconds"))
}

/// The files of this name that are whole: one that is still written has another ending, and loses it at any moment.
fn files(folder: &Path, begins: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("our own folder").flatten().map(|entry| entry.path());
    let is_whole = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "flight");
    let is_named = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begins));
    entries.filter(is_whole).filter(is_named).collect()
}

/// After an incident the window is on disk: by a request, by a signal, and after a restart.
#[test]
fn the_window_is_dumped_and_survives_a_restart() {
    needs!(Root);
    let folder = Folder::new();
    let host = recording(folder.path());
    wait_until("five frames", SOON, || {
        (host.scrape().value("ebhost_feed_frames_total", &[]) >= Some(5.0)).then_some(())
    });
    let dump = host.get("/recorder/dump?last=5m", &[]);
    assert!(dump.header("content-disposition").contains("ebhost-20"), "{:?}", dump.headers);
    let file = folder.path().join("dump");
    fs::write(&file, &dump.body).expect("our own folder");
    let (frames, seconds) = summary(&file);
    assert!(frames >= 4 && (3..120).contains(&seconds), "{frames} frames in {seconds} s");
    assert_eq!(host.get("/recorder/dump?last=5x", &[]).status, 400);

    host.tell(Signal::USR1);
    let saved = wait_until("a recording", SOON, || files(folder.path(), "ebhost-").pop());
    assert!(summary(&saved).0 >= frames);
    let served = host.scrape();
    assert!(served.value("ebhost_recorder_bytes", &[]) > Some(1e4));
    assert!(served.value("ebhost_recorder_seconds", &[]) >= Some(3.0));
    host.stop();
    assert_eq!(files(folder.path(), "segment-").len(), 1, "the open segment is written at the end");

    let again = recording(folder.path());
    wait_until("two frames", SOON, || {
        (again.scrape().value("ebhost_feed_frames_total", &[]) >= Some(2.0)).then_some(())
    });
    let dump = again.get("/recorder/dump", &[]);
    fs::write(&file, &dump.body).expect("our own folder");
    assert!(summary(&file).0 > frames, "with the frames of before the restart");
    again.stop();
}

#[test]
fn without_a_recorder_a_dump_says_how_to_switch_it_on() {
    needs!(Root);
    let host = Ebhost::start(&committed());
    let answer = host.get("/recorder/dump", &[]);
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("--recorder.window 15m"), "{}", answer.text());
    host.tell(Signal::USR1);
    wait_until("a word about it in the log", SOON, || host.log().text().contains("the recorder is off").then_some(()));
    host.stop();
}

/// Two recordings of a disk, one of them slow: side by side, on a common scale, without a host.
#[test]
fn two_recordings_are_seen_side_by_side() {
    needs!(Root, Fuse, Tool("fio"), Tool("chromium"));
    let folder = Folder::new();
    let disk = Disk::delayed(Duration::from_millis(12));
    let host = recording(folder.path());
    let mut dumps = Vec::new();
    for name in ["quick", "slow"] {
        let on = if name == "slow" { disk.device() } else { folder.path().join("file") };
        Fio::run(&on, &["--rw=randread", "--bs=4k", "--size=8m", "--rate_iops=30", "--time_based", "--runtime=6"]);
        let file = folder.path().join(format!("{name}.flight"));
        fs::write(&file, host.get("/recorder/dump", &[]).body).expect("our own folder");
        dumps.push(file);
    }
    host.stop();
    let mut command = Command::new(binary());
    command.arg("view").args(&dumps).stdout(Stdio::piped());
    let mut viewer = Running::start(&mut command);
    let lines = BufReader::new(viewer.child().stdout.take().expect("stdout is a pipe")).lines();
    let origin = lines.map_while(Result::ok).find(|line| line.starts_with("http://")).expect("an address");
    let origin = origin.trim_end_matches('/');
    let mut browser = Browser::open();
    open(&mut browser, origin);
    let captions = format!(
        "[...document.querySelectorAll('[data-family={LATENCY}] figcaption')].map((caption) => caption.textContent).join()"
    );
    assert_eq!(browser.wait_for(&captions, SOON), "quick.flight,slow.flight");
    let readout = browser.wait_for(&text_of(LATENCY, ".readout"), SOON);
    assert!(readout.as_str().is_some_and(|text| text.contains("slow.flight: ") && text.contains(" p99 ")), "{readout}");
    assert_eq!(browser.evaluate("ebhost.stores.map((store) => store.damaged + store.left).join()"), "0,0");
    browser.screenshot("two-recordings");
    browser.resize(400, 900);
    browser.wait_for("innerWidth === 400 && document.documentElement.scrollWidth <= 400", SOON);
    browser.screenshot("two-recordings-400");
    browser.assert_clean(origin);
    viewer.interrupt();
    assert!(viewer.wait(SOON).success());
}
