//! What is served equals what the kernel did: counts and latencies are compared with the kernel's own counts and with
//! fio.
//!
//! Every test has disks of its own, so I/O by others does not matter. Load would change latencies, so these tests run
//! one at a time.

mod counts;
mod latencies;

use ebhost_tests::Folder;

/// biolatency, measuring from insertion into the scheduler instead of from issue to the driver.
fn from_insertion() -> Folder {
    let folder = Folder::with_biolatency();
    folder.amend("biolatency", "programs: [", "programs: [block_rq_insert, block_rq_merge, ");
    folder.amend("biolatency", "targ_queued: false", "targ_queued: true");
    folder
}
