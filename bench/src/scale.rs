//! Scrapes of one host with many real disks and cgroups: names that are looked up, banks on each CPU, and series.

use std::process::Command;

use ebhost_tests::{Cgroup, Disks, Folder, committed, output};

use crate::{
    cases,
    host::{Accepted, Host},
    report::{line, median, tenth},
};

/// Measures biolatency with so many loop devices, each with some requests.
pub(crate) fn disks(count: u32) {
    let mut host = Host::started(Folder::with_biolatency());
    let disks = Disks::plug_in(count);
    disks.exercise();
    show(&mut host, &format!("{count} disks"));
}

/// Measures page faults by cgroup, with so many cgroups in each of which a process has run.
pub(crate) fn cgroups(count: u32) {
    let folder = Folder::new();
    folder.copy(&committed().join("pagefaults"));
    folder.set("plugins: { pagefaults: { cg: cgroup } }");
    for (from, to) in [
        ("faults: 256 per cpu, faults_spill: 4096", "faults: 16384 per cpu, faults_spill: 16384"),
        ("series: 10000", "series: 40000"),
    ] {
        folder.amend("pagefaults", from, to);
    }
    let mut host = Host::started(folder);
    let name = format!("ebhost-bench-{}", std::process::id());
    let parent = Cgroup::new(&name);
    // Removed before their parent.
    let _groups: Vec<_> = (0..count).map(|number| Cgroup::new(&format!("{name}/{number}"))).collect();
    // A shell that moves through all of them and runs a process in each.
    let script =
        "for group in \"$0\"/*/; do echo $$ >\"$group/cgroup.procs\"; /bin/true; done; echo $$ >\"$0/../cgroup.procs\"";
    output(Command::new("sh").args(["-c", script]).arg(parent.folder()));
    show(&mut host, &format!("{count} cgroups"));
}

/// The first scrape, which labels what is new, and the best of those that follow.
fn show(host: &mut Host, what: &str) {
    let first = cases::scraped(host).0.all;
    (0..20).for_each(|_| _ = host.scrape());
    for accepted in [Accepted::Plain, Accepted::Gzip] {
        let times = cases::times(host, accepted, 51);
        line(
            &format!("{what}, a scrape, {accepted}"),
            &format!(
                "**{}** µs of CPU at best, {} µs median, {} µs the first after they came; {} KB",
                tenth(times.iter().copied()).as_micros(),
                median(times.into_iter()).as_micros(),
                first.as_micros(),
                host.text().len() / 1000,
            ),
        );
    }
    line(&format!("{what}, RSS"), &format!("**{:.1}** MB", host.memory().0));
}
