//! The process: its messages to the service manager, its checks, its documentation.

use std::{
    fs,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Folder, Start, binary, committed, needs, output, wait_until};

#[test]
fn systemd_is_notified_of_ready_alive_reloading_and_stopping() {
    needs!(Root);
    let folder = Folder::new();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("our own folder");
    socket.set_read_timeout(Some(Duration::from_secs(60))).expect("a socket takes it");
    let next = || {
        let mut bytes = [0; 256];
        let size = socket.recv(&mut bytes).expect("a notification");
        String::from_utf8_lossy(&bytes[..size]).into_owned()
    };
    let file = folder.path().join("web.yml");
    fs::write(&file, "").expect("our own folder");
    let plugins = Folder::with_biolatency();
    let host = Start::with(plugins.path())
        .args(&["--web.config.file", &file.display().to_string()])
        .env("NOTIFY_SOCKET", &path.display().to_string())
        .env("WATCHDOG_USEC", "400000")
        .listening();
    let mut heard = vec![next(), next(), next()];
    heard.sort();
    heard.dedup();
    assert_eq!(heard, ["READY=1", "WATCHDOG=1"]);

    host.hang_up();
    wait_until("RELOADING", Duration::from_secs(5), || {
        next().starts_with("RELOADING=1\nMONOTONIC_USEC=").then_some(())
    });
    wait_until("READY", Duration::from_secs(5), || (next() == "READY=1").then_some(()));
    let reread = |line: &ebhost_tests::Line| line.field("message") == "web configuration read again";
    // Log lines are written asynchronously and may come later.
    wait_until("the line that says so", Duration::from_secs(5), || host.log().lines().iter().any(reread).then_some(()));
    host.terminate();
    wait_until("STOPPING", Duration::from_secs(5), || (next() == "STOPPING=1").then_some(()));
    assert!(host.wait().status.success());
}

#[test]
fn check_loads_attaches_and_exits_with_the_result() {
    needs!(Root);
    let good = Start::with(&committed()).args(&["--config.check"]).ended();
    assert!(good.status.success(), "{}", good.log.text());
    assert!(good.log.text().contains("the configuration is good"), "{}", good.log.text());
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "targ_parts:", "targ_part:");
    let bad = Start::with(folder.path()).args(&["--config.check"]).ended();
    assert_eq!(bad.status.code(), Some(1), "{}", bad.log.text());
    assert!(bad.log.text().contains("targ_part"), "{}", bad.log.text());
}

/// The verdict was that the configuration is good when the only program was left out.
#[test]
fn a_check_that_attaches_nothing_fails() {
    needs!(Root, Tool("clang-19"));
    let folder = Folder::new();
    let source = "char LICENSE[] __attribute__((section(\"license\"))) = \"GPL\";\n\
                  __attribute__((section(\"tracepoint/none/none\"))) int nothing(void *ctx) { return 0; }\n";
    fs::write(folder.path().join("nothing.c"), source).expect("our own folder");
    let mut clang = Command::new("clang-19");
    clang.current_dir(folder.path()).args(["-g", "-O2", "-target", "bpf", "-c", "nothing.c", "-o", "nothing.bpf.o"]);
    output(&mut clang);
    fs::write(folder.path().join("nothing.yaml"), "metrics:\n  counters: []\n").expect("our own folder");
    let check =
        |flags: &[&str]| Start::drop_ins(folder.path(), "nothing").args(&[&["--config.check"], flags].concat()).ended();
    let ended = check(&[]);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log.text());
    assert!(!ended.log.text().contains("--strict is given"), "{}", ended.log.text());
    assert!(ended.log.text().contains("the configuration is not good"), "{}", ended.log.text());
}

/// `--config.check` by itself blamed `--strict`, which was not given.
#[test]
fn a_check_names_no_flag_that_was_not_given() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "component: biolatency.wasm", "component: none.wasm");
    let ended = Start::with(folder.path()).args(&["--config.check"]).ended();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log.text());
    assert!(
        ended.log.text().contains("the configuration is not good: 1 of 1 packages failed to load"),
        "{}",
        ended.log.text()
    );
}

#[test]
fn run_statistics_are_on_while_it_runs() {
    needs!(Root, Tool("fio"));
    let enabled = || fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").expect("a sysctl");
    let before = enabled();
    let disk = ebhost_tests::Disk::in_memory();
    let host = Start::with(&committed()).args(&["--bpf.stats"]).listening();
    ebhost_tests::Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=100"]);
    let served = host.scrape();
    let of = [("plugin", "biolatency"), ("program", "block_rq_complete")];
    let runs = served.value("ebhost_program_runs_total", &of).expect("a count");
    let seconds = served.value("ebhost_program_run_seconds_total", &of).expect("a time");
    assert!(runs >= ebhost_tests::fewest_counted(100.0) && seconds > 0.0, "{runs} runs in {seconds} s");
    assert!(served.samples().any(|s| s.name == "ebhost_program_info" && s.labels.contains_key("tag")));
    host.stop();
    assert_eq!(enabled(), before, "the sysctl is not what is changed");
}

#[test]
fn version_and_shell_completions_are_printed() {
    let printed = |args: &[&str]| output(Command::new(binary()).args(args).stderr(Stdio::null()));
    assert!(printed(&["-V"]).starts_with("ebhost 0."), "a version");
    let version = printed(&["--version"]);
    assert!(version.contains("(revision ") && version.contains("rustc 1."), "{version}");
    assert!(printed(&["--completions", "bash"]).contains("--web.config.file"));
    assert!(printed(&["--completions", "zsh"]).contains("--web.config.file"));
    assert!(printed(&["--man"]).contains(".TH ebhost 1"));
}
