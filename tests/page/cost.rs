//! The cost of looking and recording, in CPU time of the host.

use std::{
    io::Read as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Folder, KernelMap, key, needs, workspace};

const SERIES: u64 = 3_000;

/// 3 000 series that all change every second.
fn host() -> (Ebhost, Folder) {
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/maps"));
    folder.amend("maps", "hash: 1", "hash: 4096");
    folder.amend("maps", "series: 1000", "series: 10000");
    (Ebhost::start(folder.path()), folder)
}

/// CPU time of the host, of one core.
fn cpu(host: &Ebhost, time: Duration) -> f64 {
    let seconds = || host.scrape().value("process_cpu_seconds_total", &[]).expect("it is always there");
    let (before, started) = (seconds(), Instant::now());
    thread::sleep(time);
    (seconds() - before) / started.elapsed().as_secs_f64()
}

/// A viewer that reads a second's frames as they come. The share of a core with it and without it is printed; a machine under load takes longer
/// for the same, so what is asserted is five times as much.
#[test]
fn looking_at_3000_series_costs_a_hundredth_of_a_core() {
    needs!(Root);
    let (host, _folder) = host();
    let map = KernelMap::of(host.pid(), "hash");
    let is_over = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            for round in 1u64.. {
                let all = (0..SERIES).all(|id| map.update(&key(id), &(id + round * (id % 97 + 1)).to_le_bytes()));
                assert!(all, "there is room");
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_millis(900));
            }
        });
        thread::sleep(Duration::from_secs(2));
        let idle = cpu(&host, Duration::from_secs(15));
        let mut stream = host.begin("/page/stream");
        threads.spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
        });
        thread::sleep(Duration::from_secs(5));
        let share = cpu(&host, Duration::from_secs(20));
        let served = host.scrape();
        let series = served.value("ebhost_plugin_series", &[("plugin", "maps")]);
        assert!(series >= Some(SERIES as f64), "{series:?}");
        let [looking, idle] = [(share - idle) * 100.0, idle * 100.0];
        eprintln!("{SERIES} series at 1 Hz: a viewer takes {looking:.2} % of a core, beside {idle:.2} % without one");
        is_over.store(true, Ordering::Relaxed);
        host.terminate(); // ends the stream
        assert!(looking < 5.0, "{looking} %");
    });
    host.wait();
}
