//! A thousand scrapes of the real binary.

use ebhost_tests::{KernelMap, needs};

use crate::{
    check::{Check, series},
    host,
    writer::{Writers, fill},
};

/// Room for the entries that never change and for those that come and go.
const ENTRIES: u32 = 4_096;
const ALIVE: u64 = 500;

fn scraped_under(speeds: &[Option<u32>], scrapes: usize) -> (u64, u64) {
    let (host, _folder) = host(&[("hash", ENTRIES)]);
    let open = || KernelMap::of(host.pid(), "hash");
    fill(&open());
    let mut writers = Writers::none();
    for speed in speeds {
        writers = writers.and(open(), ALIVE, *speed);
    }
    let mut check = Check::default();
    for scrape in 0..scrapes {
        let seen = series(&host.scrape()).and_then(|series| check.see(&series));
        seen.unwrap_or_else(|why| panic!("scrape {scrape}: {why}"));
    }
    let written = writers.written();
    drop(writers);
    host.stop();
    (written, check.passing)
}

#[test]
fn five_thousand_deletes_and_inserts_a_second() {
    needs!(Root);
    let (written, passing) = scraped_under(&[Some(5_000)], 1_000);
    assert!(written > 1_000, "{written} entries came and went");
    assert!(passing > 100_000, "{passing} of those that come and go were seen in 1 000 scrapes, of 500 at a time");
}

#[test]
fn one_at_full_speed_and_one_at_five_thousand() {
    needs!(Root);
    let (written, passing) = scraped_under(&[Some(5_000), None], 1_000);
    assert!(written > 10_000, "{written} entries came and went");
    assert!(passing > 100_000, "{passing} of those that come and go were seen in 1 000 scrapes, of 1 000 at a time");
}
