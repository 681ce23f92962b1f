//! The page's reader takes any bytes: recordings that were cut off or damaged in a few bits.

use std::{env, fs, path::Path, process::Command};

use ebhost_tests::{Folder, Start, committed, needs, output, wait_until, workspace};

use crate::SOON;

/// `EBHOST_FLIPS=100000` for as many files.
#[test]
fn no_damaged_recording_breaks_the_page() {
    needs!(Root, Tool("node"));
    let host = Start::with(&committed()).args(&["--recorder.window", "15m"]).listening();
    wait_until("four frames", SOON, || {
        (host.scrape().value("ebhost_feed_frames_total", &[]) >= Some(4.0)).then_some(())
    });
    let dump = host.get("/recorder/dump", &[]);
    host.stop();
    let folder = Folder::new();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("our own folder");
    put("recording.flight", &dump.body);
    put("package.json", b"{ \"type\": \"module\" }");
    put("flips.js", include_bytes!("flips.js"));
    copy_scripts(folder.path());
    let flips = env::var("EBHOST_FLIPS").unwrap_or_else(|_| "1000".to_owned());
    let said = output(Command::new("node").current_dir(folder.path()).args(["flips.js", "recording.flight", &flips]));
    eprint!("{said}");
}

/// Old frames are joined, so that a page that stays open takes a bounded memory, and rates stay as they were.
#[test]
fn a_page_that_is_open_for_two_hours_takes_a_bounded_memory() {
    needs!(Tool("node"));
    let folder = Folder::new();
    fs::write(folder.path().join("package.json"), "{ \"type\": \"module\" }").expect("our own folder");
    fs::write(folder.path().join("two_hours.js"), include_bytes!("two_hours.js")).expect("our own folder");
    copy_scripts(folder.path());
    let said = output(Command::new("node").current_dir(folder.path()).args(["--expose-gc", "two_hours.js"]));
    eprint!("{said}");
}

/// Copies the modules of the page.
fn copy_scripts(folder: &Path) {
    let scripts = fs::read_dir(workspace().join("host/server/web")).expect("the page's files");
    for script in
        scripts.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "js"))
    {
        let name = script.file_name().expect("a name");
        fs::copy(&script, folder.join(name)).expect("our own folder");
    }
}
