//! The page's reader takes any bytes: recordings that were cut off or damaged in a few bits.

use std::{env, fs, process::Command, thread, time::Duration};

use ebhost_tests::{Folder, Start, committed, needs, output, workspace};

/// `EBHOST_FLIPS=100000` for as many files.
#[test]
fn no_damaged_recording_breaks_the_page() {
    needs!(Root, Tool("node"));
    let host = Start::with(&committed()).args(&["--recorder.window", "15m"]).listening();
    for _ in 0..4 {
        host.scrape();
        thread::sleep(Duration::from_secs(1));
    }
    let dump = host.get("/recorder/dump", &[]);
    host.stop();
    let folder = Folder::new();
    let put = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("our own folder");
    put("recording.flight", &dump.body);
    put("package.json", b"{ \"type\": \"module\" }");
    put("flips.js", include_bytes!("flips.js"));
    let scripts = fs::read_dir(workspace().join("host/server/web")).expect("the page's files");
    for script in
        scripts.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|end| end == "js"))
    {
        put(&script.file_name().expect("a name").to_string_lossy(), &fs::read(&script).expect("a script"));
    }
    let flips = env::var("EBHOST_FLIPS").unwrap_or_else(|_| "1000".to_owned());
    let said = output(Command::new("node").current_dir(folder.path()).args(["flips.js", "recording.flight", &flips]));
    eprint!("{said}");
}
