//! The package hardirqs against /proc/interrupts.

use std::{fs, io::Write};

use ebhost_tests::{Exposition, alone, needs, target};

use crate::source::{Package, sum};

/// Interrupts by number, and how often each came on all CPUs. Those that several handlers share are left out.
fn counted() -> Vec<(String, f64)> {
    let text = fs::read_to_string("/proc/interrupts").expect("the kernel has it");
    let line = |line: &str| {
        let (number, rest) = line.split_once(':')?;
        let counts = rest.split_whitespace().map_while(|count| count.parse::<u64>().ok());
        let is_one = number.trim().parse::<u32>().is_ok() && !rest.contains(',');
        is_one.then(|| (number.trim().to_owned(), counts.sum::<u64>() as f64))
    };
    text.lines().filter_map(line).collect()
}

fn served(served: &Exposition, irq: &str) -> f64 {
    sum(served, "ebhost_irq_seconds_count", |label| label("irq") == irq)
}

#[test]
fn interrupts_are_those_of_proc_interrupts() {
    needs!(Root, File("/proc/interrupts"));
    let _alone = alone();
    for options in ["", "histograms: native"] {
        let package = Package::start("hardirqs", options);
        let load = || {
            let path = target().join(format!("hardirqs-{}", std::process::id()));
            for number in 0..400u32 {
                let mut file = fs::File::create(&path).expect("a file in the folder of the build");
                file.write_all(&number.to_le_bytes()).and_then(|()| file.sync_all()).expect("it is written");
            }
            fs::remove_file(path).expect("our own file");
        };
        // An interrupt that comes while another CPU handles it is counted by the kernel, and handled together with the one before.
        package.assert_increases_equal(counted, served, 40.0, load);
        package.host.stop();
    }
}
