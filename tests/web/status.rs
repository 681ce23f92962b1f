//! The status page, readiness, and the host's own metrics.

use std::{
    net::{Ipv4Addr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Folder, Start, committed, get, needs, wait_until};

#[test]
fn the_status_page_shows_programs_maps_and_why_a_package_is_left_out() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.add("broken");
    let host = Ebhost::start(folder.path());
    host.scrape();
    let json: serde_json::Value = serde_json::from_str(host.get("/status.json", &[]).text()).expect("JSON");
    let packages = json["packages"].as_array().expect("packages");
    let named = |name: &str| packages.iter().find(|package| package["name"] == name).expect("the package");
    let (good, broken) = (named("biolatency"), named("broken"));
    assert_eq!((&good["is_up"], &broken["is_up"]), (&true.into(), &false.into()));
    assert!(broken["fault"].as_str().is_some_and(|fault| fault.contains("rename the family")), "{broken}");
    let programs: Vec<_> = good["programs"].as_array().into_iter().flatten().collect();
    assert_eq!(programs.len(), 4);
    assert!(programs.iter().all(|program| program["id"].as_u64() > Some(0)), "{good}");
    assert!(programs.iter().all(|program| program["tag"].as_str().is_some_and(|tag| tag.len() == 16)), "{good}");
    let banks = &good["maps"][0];
    assert_eq!((banks["name"].as_str(), &banks["entries"]), (Some("banks"), &banks["max_entries"]));

    let page = host.get("/status", &[("Accept", "text/html")]);
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    for part in ["<h2>biolatency</h2>", "block_rq_complete", "<h2>broken</h2>", "rename the family", "10000"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    assert_eq!(host.get("/status?format=json", &[]).header("content-type"), "application/json");
    host.terminate();
    host.wait();
}

/// Before the first scrape the page showed 0 series of a plugin that is `admitted`, as if that were its state; later nothing said how old
/// its numbers were, how fast they grow, with which settings, and what the log had said.
#[test]
fn the_status_page_is_never_stale_and_knows_settings_and_log() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.add("broken");
    let host = Start::with(folder.path()).args(&["--namespace", "own"]).listening();
    let page = |path| host.get(path, &[("Accept", "text/html")]).text().to_owned();
    let first = page("/status");
    assert!(first.contains("Nobody has scraped yet"), "{first}");
    assert!(first.contains("admitted: not asked about anything yet"), "{first}");
    host.scrape();
    let json = wait_until("rates", Duration::from_secs(20), || {
        let json: serde_json::Value = serde_json::from_str(host.get("/status.json", &[]).text()).expect("JSON");
        (!json["rates"].is_null()).then_some(json)
    });
    assert!(json["rates"]["over_seconds"].as_f64() >= Some(1.0), "{}", json["rates"]);
    assert!(json["collected_at_seconds"].as_f64() > Some(1.6e9), "{json}");
    let setting = |flag: &str| json["settings"].as_array()?.iter().find(|setting| setting["flag"] == flag);
    let namespace = setting("--namespace").expect("a setting");
    assert_eq!((&namespace["value"], &namespace["is_default"]), (&"own".into(), &false.into()));
    assert_eq!(setting("--reload").expect("a setting")["is_default"], true);
    let log: Vec<_> = json["log"].as_array().expect("a list").iter().filter_map(|line| line.as_str()).collect();
    assert!(log.iter().any(|line| line.contains("rename the family")), "{log:?}");
    let later = page("/status");
    for part in
        ["The maps were read at 20", "Rates are over the last ", "<h3>Settings</h3>", "in the last 5 minutes", " UTC, "]
    {
        assert!(later.contains(part), "{part}: {later}");
    }
    assert!(!later.contains("Nobody has scraped yet"), "{later}");
    host.stop();
}

#[test]
fn health_is_served_before_readiness() {
    needs!(Root);
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    let address = free.expect("loopback has a free port");
    // Ten packages whose components are not in the cache.
    let (folder, cache) = (Folder::new(), Folder::new());
    for number in 0..6 {
        folder.add(&format!("copy{number}"));
    }
    let cache = cache.path().join("cache").display().to_string();
    let asked = thread::spawn(move || {
        let (mut seen, end) = (Vec::new(), Instant::now() + Duration::from_secs(25));
        while Instant::now() < end && seen.last() != Some(&(200, 200)) {
            let status = |path| get(address, path, &[]).ok().map(|answer| answer.status);
            if let (Some(healthy), Some(ready)) = (status("/-/healthy"), status("/-/ready")) {
                seen.push((healthy, ready));
            }
        }
        seen
    });
    let args = ["--cache.dir", &cache, "--web.listen-address", &address.to_string()];
    let host = Start::with(folder.path()).args(&args).listening();
    let seen = asked.join().expect("asking does not panic");
    assert_eq!(seen.first(), Some(&(200, 503)), "{seen:?}");
    assert_eq!(seen.last(), Some(&(200, 200)), "{seen:?}");
    host.terminate();
    host.wait();
}

/// `/-/ready` was 200 with every package refused.
#[test]
fn a_host_that_serves_nothing_is_not_ready() {
    needs!(Root);
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "component: biolatency.wasm", "component: none.wasm");
    let host = Ebhost::start(folder.path());
    let ready = host.get("/-/ready", &[]);
    assert_eq!((ready.status, host.get("/-/healthy", &[]).status), (503, 200));
    assert!(ready.text().contains("no package runs"), "{}", ready.text());
    folder.amend("biolatency", "component: none.wasm", "component: biolatency.wasm");
    host.hang_up();
    wait_until("the repaired package", Duration::from_secs(30), || {
        (host.get("/-/ready", &[]).status == 200).then_some(())
    });
    host.terminate();
    host.wait();
}

#[test]
fn the_standard_process_metrics_are_served() {
    needs!(Root);
    let served = Ebhost::start(&committed()).scrape();
    let value = |name: &str| served.value(name, &[]).unwrap_or_else(|| panic!("{name}"));
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 5.0 && value("process_max_fds") > value("process_open_fds"));
    assert!(value("process_cpu_seconds_total") > 0.0 && value("process_start_time_seconds") > 1.6e9);
    let build = served.samples().find(|sample| sample.name == "ebhost_build_info").expect("build info");
    assert_eq!(build.labels.keys().map(String::as_str).collect::<Vec<_>>(), ["arch", "revision", "rustc", "version"]);
}
