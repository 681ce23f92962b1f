//! A second sink, as somebody would add one that pushes: it reads from a real agent through its handle, and neither the agent nor the
//! server knows of it.

#![allow(clippy::disallowed_methods, reason = "the sink of this test is a thread of its own")]

use std::{
    fs,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use ebhost_agent::{self as agent, OnFault, Options, Reload, Statistics};
use ebhost_handle::{Collection, Handle, HandleError};
use ebhost_package::{PackageFolders, Settings};
use ebhost_telemetry::BuildInfo;

/// The sum of a family's series, by its full name.
fn sum(collection: &Collection<'_>, name: &str) -> Option<u64> {
    let family = collection.families().find(|family| family.name() == name)?;
    Some(family.series.iter().map(|series| series.cells[0]).sum())
}

/// Pushes the sum of a family every few milliseconds, until the agent has stopped.
fn push(handle: &Handle, family: &'static str, every: Duration, out: &mpsc::Sender<u64>) -> HandleError {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    loop {
        let deadline = Instant::now() + Duration::from_secs(60);
        match runtime.block_on(handle.collect(deadline, move |collection| sum(collection, family))) {
            Ok(Some(sum)) => drop(out.send(sum)),
            Ok(None) => {}
            Err(error) => return error,
        }
        thread::sleep(every);
    }
}

fn options(plugins: &std::path::Path) -> Options {
    Options {
        build: BuildInfo { version: "0", revision: "test", rustc: "test" },
        roots: ebhost_lookup::Roots::default(),
        folders: PackageFolders { plugins: Some(plugins.to_owned()), drop_ins: None },
        settings: Settings::default(),
        namespace: "ebhost".to_owned(),
        faults: OnFault::LeaveOut,
        statistics: Statistics::AsTheyAre,
        cache: None,
        compiler: None,
        statistics_process: None,
        reload: Reload::Off,
        spans: ebhost_agent::SpanReceiver::NotGiven,
        pins: None,
        keep: "all".parse().unwrap(),
        return_free_memory: || (),
    }
}

#[tokio::test]
async fn a_sink_that_pushes_needs_the_handle_alone() {
    let plugins = std::env::temp_dir().join(format!("ebhost-sink-{}", std::process::id()));
    // A package that is left out: the host refuses to start without any, and has families of its own.
    fs::create_dir_all(plugins.join("broken")).unwrap();
    fs::write(plugins.join("broken/plugin.yaml"), "name: broken\n").unwrap();
    let (_requester, reloads) = agent::reload_requests().unwrap();
    let (handle, agent) = agent::start(options(&plugins), reloads).unwrap();
    let agent = agent.loaded().await.unwrap();

    let (pushed, received) = mpsc::channel();
    let sink = {
        let handle = handle.clone();
        thread::spawn(move || push(&handle, "ebhost_collections_total", Duration::from_millis(5), &pushed))
    };
    let sums: Vec<_> = (0..3).map(|_| received.recv_timeout(Duration::from_secs(60)).unwrap()).collect();
    assert_eq!(sums, [1, 2, 3], "each push is a collection of its own");

    let names: Vec<_> = handle.families().await.unwrap().iter().map(ebhost_handle::FamilyDescription::name).collect();
    assert!(names.iter().any(|name| name == "ebhost_collections_total"), "{names:?}");
    let report = handle.status().await.unwrap();
    assert_eq!(report.packages.len(), 1);
    assert_eq!(*report.scrapes, 0, "a push is no scrape");

    agent.stop();
    assert_eq!(sink.join().unwrap(), HandleError::Stopped);
    fs::remove_dir_all(plugins).unwrap();
}
