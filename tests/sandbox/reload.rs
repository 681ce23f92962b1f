//! Hot reload: packages are exchanged, added and removed while scrapes go on.

use std::{fs, io::Write, os::unix::fs::symlink, thread::sleep, time::Duration};

use ebhost_tests::{Disk, Exposition, Fio, alone, committed, needs, workspace};

use crate::rig::{Misbehaving, copy, counted, plugin_value, replace, scrape, scrape_until, start, state, write_config};

fn up(served: &Exposition, plugin: &str) -> Option<f64> {
    served.value("ebhost_plugin_up", &[("plugin", plugin)])
}

fn info(served: &Exposition, plugin: &str) -> Option<String> {
    let is_it =
        |sample: &&ebhost_tests::Sample| sample.name == "ebhost_plugin_info" && sample.labels["plugin"] == plugin;
    served.samples().find(is_it).map(|sample| sample.labels["digest"].clone())
}

/// Without a signal: the folder is watched.
#[test]
fn packages_come_and_go() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    let host = start(&misbehaving.folder, &[]);
    assert_eq!(up(&scrape(&host), "biolatency"), None);
    let package = misbehaving.folder.add("biolatency");
    scrape_until(&host, "biolatency is added", |served| up(served, "biolatency") == Some(1.0));
    fs::remove_dir_all(package).expect("our own folder");
    let served = scrape_until(&host, "biolatency is removed", |served| up(served, "biolatency").is_none());
    assert!(!served.samples().any(|sample| sample.name.starts_with("ebhost_bio_latency")), "its series end");
    assert_eq!(plugin_value(&served, "ebhost_plugin_up"), Some(1.0));
    host.stop();
}

/// The programs stay attached, the maps stay, and so do the counters, though the component is another.
#[test]
fn another_component_resets_nothing() {
    needs!(Root, Tool("fio"));
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let disk = Disk::in_memory();
    let host = start(&misbehaving.folder, &[]);
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=300"]);
    let (before, _) = disk.at_rest(|| scrape(&host));
    let programs = program_ids(host.pid());
    let wasm = misbehaving.package().join("misbehaving.wasm");
    let mut bytes = fs::read(&wasm).expect("our own file");
    bytes.extend_from_slice(&[0, 3, 1, b'x', 7]); // a custom section: another file, the same component
    replace(&wasm, &bytes);
    let after = scrape_until(&host, "the component is exchanged", |served| {
        info(served, "misbehaving") != info(&before, "misbehaving")
    });
    // Other disks of the machine count too, so it may be more; a reset would make it less.
    assert!(counted(&after) >= counted(&before), "{} after, {} before", counted(&after), counted(&before));
    assert_eq!(program_ids(host.pid()), programs, "the same programs");
    Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=300"]);
    let (last, _) = disk.at_rest(|| scrape(&host));
    assert!(counted(&last) > counted(&after));

    // Another manifest: the family has another name, and the same counts.
    misbehaving.configure(&host, "fault: none, family: other_total", "");
    let renamed = scrape_until(&host, "the family is renamed", |served| {
        served.samples().any(|sample| sample.name == "ebhost_other_total")
    });
    let other: f64 =
        renamed.samples().filter(|sample| sample.name == "ebhost_other_total").map(|sample| sample.value).sum();
    assert!(other >= counted(&last) && counted(&renamed) == 0.0, "{other} after, {} before", counted(&last));
    assert_eq!(program_ids(host.pid()), programs, "still the same programs");
    host.stop();
}

/// What is set in the object is part of it: the programs are replaced, and none of the old ones is left.
#[test]
fn another_object_replaces_the_programs() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    let host = start(&misbehaving.folder, &[]);
    let programs = program_ids(host.pid());
    let yaml = fs::read_to_string(misbehaving.package().join("plugin.yaml")).expect("our own file");
    replace(
        &misbehaving.package().join("plugin.yaml"),
        yaml.replace("targ_queued: false", "targ_queued: true").as_bytes(),
    );
    scrape_until(&host, "the object is replaced", |served| served.value("ebhost_reloads_total", &[]) == Some(1.0));
    let now = program_ids(host.pid());
    assert_eq!(now.len(), programs.len());
    assert!(now.iter().all(|program| !programs.contains(program)), "{now:?}, {programs:?}");
    assert_eq!(state(&scrape(&host)), "running");
    host.stop();
}

/// A slow copy over the file that runs is not taken before it is whole.
#[test]
fn a_file_that_is_being_copied_is_not_read_in_its_middle() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    let host = start(&misbehaving.folder, &[]);
    let before = scrape(&host);
    let mut bytes = fs::read(workspace().join("tests/sandbox/misbehaving/misbehaving.wasm")).expect("it is committed");
    bytes.extend_from_slice(&[0, 3, 1, b'y', 7]);
    let mut file = fs::File::create(misbehaving.package().join("misbehaving.wasm")).expect("our own file");
    for chunk in bytes.chunks(bytes.len().div_ceil(12)) {
        file.write_all(chunk).expect("our own file");
        assert_eq!(plugin_value(&scrape(&host), "ebhost_plugin_up"), Some(1.0));
        sleep(Duration::from_millis(300));
    }
    let after =
        scrape_until(&host, "the copy is taken", |served| info(served, "misbehaving") != info(&before, "misbehaving"));
    assert_eq!(after.value("ebhost_reload_failures_total", &[]), Some(0.0), "{}", host.log().text());
    host.stop();
}

/// A file that stays cut short is refused, and the version before runs on; whole again, it is taken.
#[test]
fn a_file_cut_short_leaves_the_version_before() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let host = start(&misbehaving.folder, &[]);
    let wasm = misbehaving.folder.path().join("biolatency/biolatency.wasm");
    let whole = fs::read(&wasm).expect("our own file");
    replace(&wasm, &whole[..whole.len() / 2]);
    let current = |served: &Exposition| served.value("ebhost_plugin_current", &[("plugin", "biolatency")]);
    let served = scrape_until(&host, "the half is refused", |served| current(served) == Some(0.0));
    assert_eq!(up(&served, "biolatency"), Some(1.0));
    copy(&committed().join("biolatency/biolatency.wasm"), &wasm);
    scrape_until(&host, "the whole is back", |served| current(served) == Some(1.0));
    host.stop();
}

/// As Kubernetes mounts a ConfigMap: files are links through a link, and that one is swapped.
#[test]
fn a_folder_behind_links_is_followed_when_they_change() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none");
    let package = misbehaving.package();
    let (first, second) = (package.join("..first"), package.join("..second"));
    for version in [&first, &second] {
        fs::create_dir(version).expect("our own folder");
        fs::copy(package.join("plugin.yaml"), version.join("plugin.yaml")).expect("our own file");
    }
    let text = fs::read_to_string(second.join("plugin.yaml")).expect("our own file");
    fs::write(second.join("plugin.yaml"), text.replace("1.2", "1.3")).expect("our own file");
    symlink("..first", package.join("..data")).expect("our own folder");
    fs::remove_file(package.join("plugin.yaml")).expect("our own file");
    symlink("..data/plugin.yaml", package.join("plugin.yaml")).expect("our own folder");
    let host = start(&misbehaving.folder, &[]);
    assert_eq!(version(&scrape(&host)).as_deref(), Some("1.2"));
    symlink("..second", package.join("..next")).expect("our own folder");
    fs::rename(package.join("..next"), package.join("..data")).expect("our own folder");
    scrape_until(&host, "the other version runs", |served| version(served).as_deref() == Some("1.3"));
    host.stop();
}

/// `mv plugins/biolatency plugins/biolatency-2`, as folders that carry versions are deployed: without a signal, and the programs and
/// maps go on.
#[test]
fn a_package_whose_folder_is_renamed_goes_on() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let host = start(&misbehaving.folder, &[]);
    let programs = program_ids(host.pid());
    fs::rename(misbehaving.folder.path().join("biolatency"), misbehaving.folder.path().join("biolatency-2"))
        .expect("our own folder");
    let served =
        scrape_until(&host, "the rename is seen", |served| served.value("ebhost_reloads_total", &[]) == Some(1.0));
    assert_eq!(up(&served, "biolatency"), Some(1.0), "{}", host.log().text());
    assert_eq!(served.value("ebhost_reload_failures_total", &[]), Some(0.0), "{}", host.log().text());
    assert_eq!(program_ids(host.pid()), programs, "the same programs");
    host.stop();
}

/// A family moves from one package to another in one deployment: whichever of the two is read first, both run in the end.
#[test]
fn a_family_moves_between_two_packages() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none, family: one_total");
    let other = misbehaving.add("other", "fault: none, family: two_total");
    let host = start(&misbehaving.folder, &[]);
    write_config(&misbehaving.package(), "fault: none, family: two_total", "");
    write_config(&other, "fault: none, family: one_total", "");
    scrape_until(&host, "they have changed places", |served| served.value("ebhost_reloads_total", &[]) == Some(2.0));
    let current = |served: &Exposition, plugin| served.value("ebhost_plugin_current", &[("plugin", plugin)]);
    let served = scrape(&host);
    assert_eq!(
        (current(&served, "misbehaving"), current(&served, "other")),
        (Some(1.0), Some(1.0)),
        "{}",
        host.log().text()
    );
    host.stop();
}

/// Two packages claim one name: the one that runs keeps it, and the other comes by itself once the name is free.
#[test]
fn a_package_comes_once_its_name_is_free() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::alone("fault: none, family: one_total");
    let host = start(&misbehaving.folder, &[]);
    let other = misbehaving.add("another", "fault: none, family: one_total");
    scrape_until(&host, "the other one is left out", |served| up(served, "another") == Some(0.0));
    assert!(host.log().text().contains("a name that package `misbehaving` has already"), "{}", host.log().text());
    write_config(&misbehaving.package(), "fault: none, family: two_total", "");
    let served = scrape_until(&host, "the other one runs", |served| up(served, "another") == Some(1.0));
    assert_eq!(up(&served, "misbehaving"), Some(1.0));
    fs::remove_dir_all(other).expect("our own folder");
    scrape_until(&host, "the other one is gone", |served| up(served, "another").is_none());
    host.stop();
}

/// An error is not "gone": a folder that cannot be looked at for a while (`chmod`, a network file system) does not end its package.
#[test]
fn a_package_that_cannot_be_looked_at_goes_on() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let host = start(&misbehaving.folder, &[]);
    let programs = program_ids(host.pid());
    // A link to itself fails with ELOOP, for root too.
    let file = misbehaving.folder.path().join("biolatency/plugin.yaml");
    let aside = misbehaving.folder.path().join("biolatency/aside.yaml");
    fs::rename(&file, &aside).and_then(|()| symlink("plugin.yaml", &file)).expect("our own folder");
    let current = |served: &Exposition| served.value("ebhost_plugin_current", &[("plugin", "biolatency")]);
    scrape_until(&host, "it is not current", |served| current(served) == Some(0.0));
    sleep(Duration::from_secs(3));
    assert_eq!(up(&scrape(&host), "biolatency"), Some(1.0), "{}", host.log().text());
    fs::rename(&aside, &file).expect("our own folder");
    scrape_until(&host, "it is current again", |served| current(served) == Some(1.0));
    assert_eq!(program_ids(host.pid()), programs, "the same programs");
    assert!(!host.log().text().contains("package removed"), "{}", host.log().text());
    host.stop();
}

fn version(served: &Exposition) -> Option<String> {
    served.samples().find(|sample| sample.name == "ebhost_plugin_info").map(|sample| sample.labels["version"].clone())
}

/// No thread runs while nobody asks and nothing changes: neither looks at folders nor at clocks.
#[test]
fn nothing_runs_between_scrapes() {
    needs!(Root);
    let _alone = alone();
    let misbehaving = Misbehaving::beside_biolatency("fault: none");
    let host = start(&misbehaving.folder, &[]);
    scrape(&host);
    let is_idle = |_: &u32| {
        let before = switches(host.pid());
        sleep(Duration::from_secs(3));
        switches(host.pid()) == before
    };
    // Connections of the test itself may still be closing; a look at the packages once a minute may fall into one round.
    assert!((0..5).any(|round| is_idle(&round)), "threads go on waking up");
    host.stop();
}

/// How often threads of the process have begun to run.
fn switches(pid: u32) -> u64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs").flatten();
    let status = threads.map(|thread| fs::read_to_string(thread.path().join("status")).unwrap_or_default());
    let count = |line: &str| line.split_once("ctxt_switches:")?.1.trim().parse::<u64>().ok();
    status.map(|status| status.lines().filter_map(count).sum::<u64>()).sum()
}

/// Ids of the BPF programs that a process holds.
fn program_ids(pid: u32) -> Vec<String> {
    let mut ids: Vec<_> = fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .expect("it runs")
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok())
        .filter_map(|text| Some(text.lines().find_map(|line| line.strip_prefix("prog_id:"))?.trim().to_owned()))
        .collect();
    ids.sort();
    ids.dedup();
    ids
}
