//! `ebhost top` against a running host: its tables hold what /metrics holds, it says why a cost is unknown, comes with a certificate and
//! a user, and in a terminal answers keys, follows its size, and survives the host.

mod terminal;

use std::{
    fs,
    process::{Command, Stdio},
    time::Duration,
};

use ebhost_tests::{Ebhost, Exposition, Folder, Start, binary, needs, wait_until, workspace};

use super::certificates::{certificates, self_signed};
use terminal::Terminal;

use super::access::HASH;

/// Statistics are measured for 10 ms every 10 s.
const PATIENCE: Duration = Duration::from_secs(60);

struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

fn top(args: &[&str]) -> Said {
    let mut command = Command::new(binary());
    let output = command.arg("top").args(args).stdin(Stdio::null()).output().expect("ebhost starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Said { out: text(&output.stdout), err: text(&output.stderr), code: output.status.code() }
}

fn url(host: &Ebhost) -> String {
    format!("http://{}", host.address())
}

/// The package `forks` of contract 0.1.0, which needs no disk and no PMU.
fn with_forks() -> Folder {
    let folder = Folder::new();
    folder.copy(&workspace().join("tests/fixtures/contract-0.1.0"));
    folder
}

/// The cells of the row that begins with these words.
fn row<'a>(table: &'a str, begins: &[&str]) -> Option<Vec<&'a str>> {
    let cells = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    cells.into_iter().find(|cells| cells.starts_with(begins))
}

fn work() {
    for _ in 0..20 {
        Command::new("/bin/true").status().expect("a program");
    }
}

#[test]
fn tables_hold_what_the_metrics_hold() {
    needs!(Root);
    let folder = with_forks();
    let host = Start::with(folder.path()).args(&["--bpf.stats"]).listening();
    work();
    let served = host.scrape();
    let shown = top(&["--once", "--url", &url(&host)]);
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let map = row(&shown.out, &["forks", "events"]).unwrap_or_else(|| panic!("{}", shown.out));
    let labels = [("plugin", "forks"), ("map", "events")];
    let value = |name: &str| served.value(name, &labels).unwrap_or_else(|| panic!("{name}"));
    assert_eq!(map[2].parse::<f64>().ok(), Some(value("ebhost_map_entries")), "{}", shown.out);
    assert_eq!(map[3].parse::<f64>().ok(), Some(value("ebhost_map_max_entries")), "{}", shown.out);
    let kibibytes = value("ebhost_map_memory_bytes") / 1024.0;
    assert_eq!(format!("{} {}", map[5], map[6]), format!("{kibibytes:.1} KiB"), "{}", shown.out);
    let package = row(&shown.out, &["forks", "running"]).unwrap_or_else(|| panic!("{}", shown.out));
    let series = served.value("ebhost_plugin_series", &[("plugin", "forks")]);
    assert_eq!(package.last().and_then(|cell| cell.parse::<f64>().ok()), series, "{}", shown.out);
    assert!(!shown.out.contains("cost is unknown"), "{}", shown.out);
}

/// Rates were computed from nothing else than two readings, so what happened between them must come out.
#[test]
fn runs_a_second_are_those_of_the_kernel() {
    needs!(Root);
    let folder = with_forks();
    let host = Start::with(folder.path()).args(&["--bpf.stats"]).listening();
    host.scrape();
    let runs = || host.scrape().value("ebhost_program_runs_total", &[("plugin", "forks"), ("program", "on_exec")]);
    let mut busy = Command::new("sh");
    busy.args(["-c", "while :; do /bin/true; done"]);
    let busy = ebhost_tests::Running::start(&mut busy);
    let (before, began) = (runs().expect("they are counted"), std::time::Instant::now());
    let shown = top(&["--once", "--view", "programs", "--url", &url(&host), "--filter", "on_exec"]);
    let (after, took) = (runs().expect("they are counted"), began.elapsed().as_secs_f64());
    drop(busy);
    let cells = row(&shown.out, &["forks", "on_exec"]).unwrap_or_else(|| panic!("{}{}", shown.out, shown.err));
    let (shown_rate, rate) = (cells[2].parse::<f64>().expect("a number"), (after - before) / took);
    assert!(shown_rate > rate / 3.0 && shown_rate < rate * 3.0, "{shown_rate} shown, {rate} by /metrics");
    assert!(cells[3].parse::<f64>().expect("ns a run") > 10.0 && cells[4].parse::<f64>().expect("a share") > 0.0);
    assert!(row(&shown.out, &["forks", "on_fork"]).is_none(), "filtered: {}", shown.out);
}

#[test]
fn without_statistics_the_last_window_is_shown() {
    needs!(Root);
    let folder = with_forks();
    let host = Ebhost::start(folder.path());
    let labels = [("plugin", "forks"), ("program", "on_exit")];
    wait_until("a window in which the program ran", PATIENCE, || {
        work();
        let served = host.scrape();
        let seconds = served.value("ebhost_program_run_duration_seconds", &labels)?;
        let ratio = served.value("ebhost_program_cpu_ratio", &labels).filter(|ratio| *ratio > 0.0)?;
        let shown = top(&["--view", "programs", "--url", &url(&host)]);
        let cells = row(&shown.out, &["forks", "on_exit"])?;
        // Another window may have passed in between.
        (cells[3] == format!("{:.0}", seconds * 1e9) && cells[4] == format!("{:.3}", ratio * 100.0)).then_some(())
    });
}

#[test]
fn a_host_that_may_not_measure_says_why_the_cost_is_unknown() {
    needs!(Root, Tool("setpriv"));
    if fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").is_ok_and(|text| text.trim() == "1") {
        return; // switched on for everybody
    }
    let folder = with_forks();
    let without = ["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"];
    let host = Start::by(&without, folder.path()).listening();
    wait_until("the reason", PATIENCE, || {
        let shown = top(&["--once", "--url", &url(&host)]);
        let is_said = shown.out.contains("cost is unknown because the process")
            || shown.out.contains("cost is unknown because Operation not permitted")
            || shown.out.contains("start the host with CAP_SYS_ADMIN");
        is_said.then_some(())
    });
}

#[test]
fn a_host_with_tls_and_users_is_shown_to_those_who_may_see_it() {
    needs!(Root, Tool("openssl"));
    let (folder, keys) = (with_forks(), certificates());
    self_signed(keys.path(), "alone");
    let config = keys.path().join("web.yml");
    let serve = |pair: &str, more: &str| {
        let text = format!(
            "tls_server_config: {{ cert_file: {pair}.pem, key_file: {pair}.key{more} }}\nbasic_auth_users: {{ ada: {HASH} }}\n"
        );
        fs::write(&config, text).expect("our own file");
        Start::with(folder.path()).args(&["--web.config.file", config.to_str().expect("plain")]).listening()
    };
    let file = |name: &str| keys.path().join(name).display().to_string();
    fs::write(keys.path().join("password"), "secret\n").expect("our own file");
    let (ca, password) = (file("ca.pem"), file("password"));
    let host = serve("server", ", client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem");
    let https = format!("https://{}", host.address());
    let with = |more: &[&str]| top(&[&["--once", "--url", &https], more].concat());
    let user = ["--user", "ada", "--password-file", &password];
    let (cert, key) = (file("client.pem"), file("client.key"));
    let certificate = ["--ca", &ca, "--cert", &cert, "--key", &key];
    let shown = with(&[&user[..], &certificate].concat());
    assert!(shown.code == Some(0) && shown.out.contains("forks"), "{}", shown.err);
    let nobody = with(&certificate);
    assert!(nobody.code == Some(2) && nobody.err.contains("asks for a user: --user NAME"), "{}", nobody.err);
    let stranger = with(&user);
    assert!(stranger.code == Some(2) && stranger.err.contains("invalid peer certificate"), "{}", stranger.err);
    assert_eq!(with(&[&user[..], &["--ca", &ca]].concat()).code, Some(2), "without the client's certificate");
    let plain = top(&["--once", "--url", &url(&host)]);
    assert!(plain.code == Some(2) && plain.err.contains("https://"), "{}", plain.err);
    host.stop();

    let host = serve("alone", "");
    let (https, own) = (format!("https://{}", host.address()), file("alone.pem"));
    let shown = top(&[&["--once", "--url", &https, "--ca", &own], &user[..]].concat());
    assert_eq!(shown.code, Some(0), "a certificate that signs itself: {}", shown.err);
    let other = top(&[&["--once", "--url", &https, "--ca", &ca], &user[..]].concat());
    assert_eq!(other.code, Some(2), "{}", other.out);
}

#[test]
fn mistakes_are_answered_with_what_was_expected() {
    for (args, says) in [
        (&["--url", "http://127.0.0.1:1"][..], "127.0.0.1:1 cannot be reached: Connection refused"),
        (&["--url", "ftp://x"], "expected an address such as http://localhost:9435"),
        (
            &["--sort", "fill"],
            "found the column `fill`, expected one of package, program, runs/s, ns/run, cpu %, attached",
        ),
        (&["--user", "ada"], "expected it in $EBHOST_PASSWORD"),
        (&["--ca", "/nowhere.pem"], "/nowhere.pem: cannot be read as certificates in PEM"),
    ] {
        let refused = top(args);
        assert!(refused.code == Some(2) && refused.err.contains(says), "{args:?}: {}", refused.err);
    }
}

#[test]
fn a_terminal_of_eighty_by_twenty_four_shows_the_tables_and_answers_keys() {
    needs!(Root, Tool("script"));
    let folder = Folder::with_biolatency();
    folder.copy(&workspace().join("tests/fixtures/contract-0.1.0"));
    let host = Ebhost::start(folder.path());
    let mut terminal = Terminal::start(80, 24, &["--url", &url(&host), "--interval", "500ms"]);
    terminal.shows("the title", |lines| lines[0].contains("2 packages, 2 up, 0 down"));
    let lines = terminal.shows("programs", |lines| lines.iter().any(|line| line.contains("on_fork")));
    assert!(lines.len() == 24 && lines[23].starts_with("q quit"), "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("CPU %v")), "{lines:#?}");
    terminal.press("/exec\n");
    terminal.shows("the filtered rows", |lines| {
        lines.iter().any(|line| line.contains("on_exec")) && !lines.iter().any(|line| line.contains("on_fork"))
    });
    terminal.press("\x1b");
    terminal.shows("all rows", |lines| lines.iter().any(|line| line.contains("on_fork")));
    terminal.press("s");
    terminal.shows("the next column", |lines| lines.iter().any(|line| line.contains("ATTACHEDv")));
    terminal.press("3");
    let lines =
        terminal.shows("maps", |lines| lines.iter().any(|line| line.starts_with("forks") && line.contains(" events ")));
    let served = Exposition::parse(host.get("/metrics", &[]).text(), ebhost_tests::Format::Text).expect("sound text");
    let most = served.value("ebhost_map_max_entries", &[("plugin", "forks"), ("map", "events")]).expect("it is read");
    assert!(lines.iter().any(|line| line.contains(" events ") && line.contains(&format!(" {most} "))), "{lines:#?}");

    terminal.resize(120, 40);
    let lines = terminal.shows("forty lines", |lines| lines.len() == 40 && lines[39].starts_with("q quit"));
    assert!(lines.iter().any(|line| line.starts_with("forks")), "{lines:#?}");
    terminal.resize(30, 6);
    terminal.shows("six lines", |lines| lines.len() == 6 && lines[5].starts_with("q quit"));
    terminal.press("q");
    terminal.ends_as_it_began();
}

#[test]
fn a_histogram_is_drawn_as_run_draws_it() {
    needs!(Root, Tool("script"), Tool("fio"));
    let (folder, disk) = (Folder::with_biolatency(), ebhost_tests::Disk::in_memory());
    let host = Ebhost::start(folder.path());
    let before = disk.stat();
    ebhost_tests::Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=500", "--size=16m"]);
    let reads = ebhost_tests::reads_counted(&host, &disk, before);
    let args = ["--url", &url(&host), "--interval", "500ms", "--view", "histograms", "--filter", disk.name()];
    let mut terminal = Terminal::start(100, 50, &args);
    let head = format!(
        "ebhost_bio_latency_seconds{{device=\"{}\",operation=\"read\"}}: {} observations, all",
        disk.name(),
        reads
    );
    let lines = terminal.shows("the histogram", |lines| lines.iter().any(|line| line.starts_with(&head)));
    let bars: Vec<_> = lines.iter().filter(|line| line.contains(" : ") && line.ends_with('|')).collect();
    let count =
        |bar: &&&String| bar.split(" : ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    assert_eq!(bars.iter().filter_map(|bar| count(&bar)).sum::<u64>(), reads as u64, "{lines:#?}");
    terminal.press("d");
    terminal.shows("recent ones", |lines| lines.iter().any(|line| line.contains("}: 0 observations, since")));
    terminal.press("\x03");
    terminal.ends_as_it_began();
}

/// A host that was upgraded left its viewers with an error and a broken terminal.
#[test]
fn a_terminal_survives_the_host() {
    needs!(Root, Tool("script"));
    let folder = with_forks();
    let host = Ebhost::start(folder.path());
    let address = host.address();
    let terminal = Terminal::start(80, 24, &["--url", &url(&host), "--interval", "200ms"]);
    terminal.shows("programs", |lines| lines.iter().any(|line| line.contains("on_fork")));
    host.stop();
    let lines = terminal.shows("the failure", |lines| lines.iter().any(|line| line.contains("cannot be reached")));
    assert!(lines.iter().any(|line| line.contains("on_fork")), "the numbers of before stay: {lines:#?}");
    let again = Start::with(folder.path()).args(&["--web.listen-address", &address.to_string()]).listening();
    terminal.shows("no failure", |lines| !lines.iter().any(|line| line.contains("cannot be reached")));
    terminal.terminate();
    terminal.ends_as_it_began();
    again.stop();
}
