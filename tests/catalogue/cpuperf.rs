//! The package cpuperf where there is no PMU: it says so. `tests/guest` counts on one.

use ebhost_tests::{alone, needs};

use crate::source::{Package, sum};

#[test]
fn without_a_pmu_the_package_says_so_and_has_no_series() {
    needs!(Root);
    let _alone = alone();
    let package = Package::start("cpuperf", "");
    let served = package.host.scrape();
    let cycles = sum(&served, "ebhost_cpu_cycles_total", |_| true);
    let log = package.host.stop();
    if cycles == 0.0 {
        assert!(log.text().contains("no hardware PMU"), "{}", log.text());
    }
}
