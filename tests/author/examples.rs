//! The packages in `examples/`: each is built as a third party would build it, tested by its own tests, and run against
//! activity of this test.

use std::{
    fs,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{self, Command},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ebhost_tests::{
    Answer, Cgroup, Ebhost, Exposition, Folder, Prometheus, ReceivedSpan, Receiver, Start, binary, encode, needs,
    output, target, wait_until, workspace,
};

use crate::{ebhost, npm, said};

fn example(name: &str) -> PathBuf {
    workspace().join("examples").join(name)
}

/// The names of files that a build leaves in the example's folder.
const BUILT: [&str; 5] = ["target", "node_modules", "package-lock.json", ".venv", "build"];

/// Copies the example's own files. Symbolic links to the files that `ebhost new` writes are skipped: those are already
/// there.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("our own folder");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("an entry");
        let (path, name) = (entry.path(), entry.file_name());
        let is_built = BUILT.iter().any(|built| name == *built)
            || path.extension().is_some_and(|extension| extension == "wasm" || extension == "o");
        match entry.file_type().expect("a type") {
            kind if is_built || kind.is_symlink() => {}
            kind if kind.is_dir() => copy(&path, &to.join(name)),
            _ => drop(fs::copy(&path, to.join(name)).expect("our own folder")),
        }
    }
}

/// An example in a temporary folder, on top of what `ebhost new` writes. It uses nothing of this repository.
struct Example {
    folder: Folder,
    name: &'static str,
}

impl Example {
    /// Builds and tests the example with its own scripts.
    fn built(name: &'static str, language: &str) -> Self {
        let folder = Folder::new();
        let made = ebhost(&["new", name, "--lang", language], folder.path());
        assert_eq!(made.code, Some(0), "{}", made.err);
        let package = folder.path().join(name);
        copy(&example(name), &package);
        let built = Self { folder, name };
        built.vendored();
        built.script("build.sh");
        built.script("test.sh");
        built
    }

    /// Makes the example use the SDK in vendor/, as a package elsewhere does.
    fn vendored(&self) {
        let file = self.folder.path().join(self.name).join("Cargo.toml");
        if let Ok(text) = fs::read_to_string(&file) {
            let elsewhere = text.replacen("../../plugins/sdk", "vendor/ebhost-plugin", 1);
            assert_ne!(text, elsewhere, "the example's Cargo.toml names the guest crate of this repository");
            fs::write(&file, elsewhere).expect("our own file");
        }
    }

    fn script(&self, script: &str) {
        let package = self.folder.path().join(self.name);
        let mut command = Command::new(package.join(script));
        command.current_dir(&package).env("EBHOST", binary()).env("CACHE_DIRECTORY", target().join("ebhost-cache"));
        // A target folder that is kept between runs and shared with the guide's test: building Rust's standard library
        // takes minutes.
        let ended = said(command.env("CARGO_TARGET_DIR", workspace().join("target/guide")));
        assert_eq!(ended.code, Some(0), "{script}: {}{}", ended.out, ended.err);
    }

    fn start(&self) -> Ebhost {
        Ebhost::start(self.folder.path())
    }
}

/// The increase of a series.
fn growth(before: &Exposition, after: &Exposition, name: &str, labels: &[(&str, &str)]) -> f64 {
    let value = |of: &Exposition| of.value(name, labels).unwrap_or_default();
    value(after) - value(before)
}

#[test]
fn flags_of_opened_files_have_their_names() {
    needs!(Root, Tool("clang-19"), Tool("cargo"), File("/sys/kernel/tracing/events/syscalls/sys_enter_openat"));
    let example = Example::built("openflags", "rust");
    let host = example.start();
    let before = host.scrape();
    let (command, file) = (format!("opens-{}", process::id()), example.folder.path().join("file"));
    // The command name of a thread is its name.
    let opener = thread::Builder::new().name(command.clone()).spawn(move || {
        let open = |times: usize, flags: i32| {
            for _ in 0..times {
                fs::OpenOptions::new().write(true).create(true).custom_flags(flags).open(&file).expect("our own file");
            }
        };
        open(40, libc::O_SYNC);
        open(30, libc::O_DSYNC);
        open(20, libc::O_APPEND | libc::O_NOATIME);
        for _ in 0..10 {
            fs::File::open("/nowhere").expect_err("no such file");
        }
    });
    opener.expect("a thread").join().expect("it opens");
    let after = host.scrape();
    for (access, flags, times) in [
        ("write", "O_SYNC|O_CREAT", 40.0),
        ("write", "O_CREAT|O_DSYNC", 30.0),
        ("write", "O_CREAT|O_APPEND|O_NOATIME", 20.0),
        ("read", "none", 10.0),
    ] {
        let labels = [("command", command.as_str()), ("access", access), ("flags", flags)];
        assert_eq!(growth(&before, &after, "ebhost_file_opens_total", &labels), times, "{flags}");
    }
    assert_eq!(after.value("ebhost_file_opens_lost_total", &[]), Some(0.0));
    host.stop();
}

#[test]
fn connections_of_both_key_layouts_have_the_same_labels() {
    needs!(Root, Tool("clang-19"), Tool("wasm-ld-19"), File("/usr/lib/wasm32-wasi/libc.a"), File("/proc/net/if_inet6"));
    let example = Example::built("tcpopens", "c");
    let host = example.start();
    let before = host.scrape();
    let listen = |address: &str| TcpListener::bind(address).expect("a port of loopback");
    let (ipv4, ipv6) = (listen("127.0.0.1:0"), listen("[::1]:0"));
    let port = |of: &TcpListener| of.local_addr().expect("it is bound").port();
    let connect = |times: usize, listener: &TcpListener, address: SocketAddr| {
        for _ in 0..times {
            let _peers = (TcpStream::connect(address).expect("it listens"), listener.accept().expect("a peer"));
        }
    };
    connect(30, &ipv4, (Ipv4Addr::LOCALHOST, port(&ipv4)).into());
    // Through an IPv6 socket, whose keys have the other layout.
    connect(12, &ipv4, (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port(&ipv4)).into());
    connect(20, &ipv6, (Ipv6Addr::LOCALHOST, port(&ipv6)).into());
    let after = host.scrape();
    for (family, listener, times) in [("ipv4", &ipv4, 42.0), ("ipv6", &ipv6, 20.0)] {
        for side in ["connect", "accept"] {
            let port = port(listener).to_string();
            let labels = [("side", side), ("family", family), ("network", "loopback"), ("port", &port)];
            assert_eq!(growth(&before, &after, "ebhost_tcp_opens_total", &labels), times, "{side} {family}");
        }
    }
    assert_eq!(after.value("ebhost_tcp_opens_lost_total", &[]), Some(0.0));
    host.stop();
}

#[test]
fn programs_are_counted_for_the_unit_of_their_cgroup() {
    needs!(Root, Cgroup2, Tool("clang-19"), Tool("node"), Tool("npm"));
    let _alone = npm();
    let example = Example::built("units", "javascript");
    let host = example.start();
    let before = host.scrape();
    let own = format!("ebhost{}", process::id());
    let id = format!("{:012x}{}", process::id(), "0".repeat(52));
    let slice = Cgroup::new(&format!("{own}.slice"));
    let below = |name: &str| Cgroup::new(&format!("{own}.slice/{name}"));
    let groups = [
        (below(&format!("{own}@one.service")), 7),
        (below(&format!("{own}@two.service")), 5),
        (below(&format!("docker-{id}.scope")), 11),
    ];
    for (group, times) in &groups {
        let script = "for n in $(seq \"$0\"); do /bin/true; done";
        output(group.starter().args(["sh", "-c", script, &times.to_string()]));
    }
    let after = host.scrape();
    let grown =
        |kind, unit: &str| growth(&before, &after, "ebhost_unit_execs_total", &[("kind", kind), ("unit", unit)]);
    // Besides the loop's own processes, the cgroup contains its shell (which the process that moved itself became) and
    // seq.
    assert_eq!(grown("service", &format!("{own}@.service")), 7.0 + 5.0 + 2.0 * 2.0);
    assert_eq!(grown("container", &id[..12]), 11.0 + 2.0);
    assert_eq!(after.value("ebhost_unit_execs_lost_total", &[]), Some(0.0));
    drop(groups);
    drop(slice);
    host.stop();
}

#[test]
fn the_examples_have_the_scripts_that_new_writes() {
    for (name, language, scripts) in [
        ("openflags", "rust", &["build.sh", "build-bpf.sh", "test.sh"][..]),
        ("tcpopens", "c", &["build.sh", "build-bpf.sh", "test.sh"]),
        ("units", "javascript", &["build.sh", "build-bpf.sh", "build.mjs", "package.json"]),
    ] {
        let folder = Folder::new();
        assert_eq!(ebhost(&["new", name, "--lang", language], folder.path()).code, Some(0));
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for script in scripts {
            assert_eq!(
                text(&example(name).join(script)),
                text(&folder.path().join(name).join(script)),
                "{name}/{script}: copy it from what `ebhost new {name} --lang {language}` writes"
            );
        }
    }
}

/// The test of an exemplar is Prometheus' own storage of them.
#[test]
fn slow_opens_are_spans_and_exemplars_of_their_histogram() {
    needs!(
        Root,
        Tool("clang-19"),
        Tool("cargo"),
        Tool("prometheus"),
        File("/sys/kernel/tracing/events/syscalls/sys_enter_openat")
    );
    let example = Example::built("slowopens", "rust");
    let yaml = example.folder.path().join("slowopens/plugin.yaml");
    let text = fs::read_to_string(&yaml).expect("our own file");
    fs::write(&yaml, text.replace("slower_than_ns: 1000000", "slower_than_ns: 0")).expect("our own file");
    let receiver = Receiver::start(Answer::Taken);
    let start = Start::with(example.folder.path()).env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &receiver.traces());
    let host = start.env("OTEL_BSP_SCHEDULE_DELAY", "200").listening();
    let prometheus = Prometheus::with(host.address(), &["--enable-feature=exemplar-storage"]);
    let command = format!("slow-{}", process::id());
    let opener = thread::Builder::new().name(command.clone()).spawn(|| {
        for _ in 0..20 {
            fs::File::open("/nowhere").expect_err("no such file");
            thread::sleep(Duration::from_millis(100));
        }
    });
    opener.expect("a thread").join().expect("it opens");
    let of_command = |span: &ReceivedSpan| span.attributes["process.command"] == command;
    let spans = wait_until("spans", Duration::from_secs(60), || {
        let spans: Vec<_> = receiver.spans().into_iter().filter(of_command).collect();
        (spans.len() == 20).then_some(spans)
    });
    assert!(spans.iter().all(|span| span.name == "openat" && span.attributes["openat.result"] == "-2"), "{spans:#?}");
    let count = host.scrape().value("ebhost_slow_open_seconds_count", &[("command", &command)]);
    assert_eq!(count, Some(20.0), "views and spans read the same events");

    let query = format!("ebhost_slow_open_seconds_bucket{{command=\"{command}\"}}");
    let found = wait_until("exemplars", Duration::from_secs(60), || {
        let end = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() + 60;
        let path = format!("query_exemplars?query={}&start={}&end={end}", encode(&query), end - 600);
        let answer = prometheus.api(&path);
        let series = answer.as_array().expect("a list").iter();
        let all: Vec<_> =
            series.flat_map(|series| series["exemplars"].as_array().cloned().unwrap_or_default()).collect();
        (!all.is_empty()).then_some(all)
    });
    for exemplar in &found {
        let label = |name: &str| exemplar["labels"][name].as_str().expect("an exemplar has ids").to_owned();
        let span = spans.iter().find(|span| span.trace_id == label("trace_id")).expect("the exemplar names a trace");
        assert_eq!(span.span_id, label("span_id"));
        let seconds: f64 = exemplar["value"].as_str().and_then(|text| text.parse().ok()).expect("a number");
        assert!((seconds - (span.end - span.start) as f64 / 1e9).abs() < 1e-12, "{exemplar} {span:?}");
    }
    host.stop();
}
