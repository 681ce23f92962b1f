//! What is served is what the kernel did: counts and latencies, against the kernel's own counts and fio's.
//!
//! Every test has disks of its own, so I/O by others is not in what it compares. Latencies suffer from load, so these
//! tests run one at a time.

mod counts;
mod latencies;

use ebhost_tests::Folder;

/// biolatency, timing from insertion into the scheduler and not from issue to the driver.
fn from_insertion() -> Folder {
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "programs: [", "programs: [block_rq_insert, block_rq_merge, ");
    folder.amend("biolatency", "targ_queued: false", "targ_queued: true");
    folder
}
