//! `ebhost run`: tables and histograms in a terminal, of real activity.

use ebhost_tests::{Disk, Fio, Folder, needs};

use crate::{counting::Counting, ebhost, fixture};

#[test]
fn counters_are_a_table_sorted_by_value() {
    needs!(Root);
    let shown = ebhost(&["run", ".", "--for", "1s"], &fixture("contract-0.1.0"));
    assert_eq!(shown.code, Some(0), "{}", shown.err);
    let head = "\nforks_events_total: What processes did, by event and command name.\n  event";
    assert!(shown.out.contains(head), "{}", shown.out);
    let rows = shown.out.split_once(head).map_or("", |(_, rows)| rows);
    let values = rows.lines().skip(1).take_while(|line| !line.is_empty());
    let values: Vec<u64> = values.filter_map(|line| line.split_whitespace().last()?.parse().ok()).collect();
    assert!(values.is_sorted_by(|one, next| one >= next), "{}", shown.out);
}

#[test]
fn the_bars_of_a_histogram_add_up_to_fios_requests() {
    needs!(Root, Tool("fio"));
    let (folder, disk) = (Folder::with_biolatency(), Disk::in_memory());
    // The kernel hides a request from every program now and then; see `kernel/counts.rs`. Such a run is repeated.
    let mut last = String::new();
    let whole = (0..10).find_map(|_| {
        let run = Counting::start(&["run".as_ref(), folder.path().join("biolatency").as_os_str()]);
        let fio = Fio::run(&disk.device(), &["--rw=randread", "--bs=4k", "--number_ios=2000", "--size=64m"]);
        last = run.end();
        let title = format!("  device = {}, operation = read: {} in all, mean ", disk.name(), fio.reads.count);
        last.contains(&title).then(|| (last.clone(), title, fio))
    });
    let (shown, title, fio) =
        whole.unwrap_or_else(|| panic!("a run with all of fio's requests, the last one is {last}"));
    let (_, bars) = shown.split_once(&title).expect("it has this title");
    // A line is `        <= 8 us : 1234       |*****     |`.
    let bars: Vec<&str> = bars.lines().skip(1).take_while(|line| line.ends_with('|')).collect();
    let count =
        |bar: &&str| bar.split(" : ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    assert_eq!(bars.iter().filter_map(count).sum::<u64>(), fio.reads.count, "{shown}");
    assert!(
        bars.iter().any(|bar| bar.contains(&"*".repeat(40))),
        "the longest bar is as wide as there is room: {shown}"
    );
    assert!(bars.iter().all(|bar| bar.trim_start().starts_with("<= ") && bar.contains("s : ")), "{shown}");
}
