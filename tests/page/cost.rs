//! The cost of looking and recording, in CPU time of the host.

use std::{
    io::Read as _,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use ebhost_tests::{Ebhost, Folder, KernelMap, Start, key, needs, workspace};

const SERIES: u64 = 3_000;

/// 3 000 series that all change every second.
fn host() -> (Ebhost, Folder) {
    let folder = Folder::new();
    folder.copy(&workspace().join("bench/packages/maps"));
    folder.amend("maps", "hash: 1", "hash: 4096");
    folder.amend("maps", "series: 1000", "series: 10000");
    (Start::with(folder.path()).args(&["--recorder.window", "15m"]).listening(), folder)
}

/// CPU time of the host, of one core.
fn cpu(host: &Ebhost, time: Duration) -> f64 {
    let seconds = || host.scrape().value("process_cpu_seconds_total", &[]).expect("it is always there");
    let (before, started) = (seconds(), Instant::now());
    thread::sleep(time);
    (seconds() - before) / started.elapsed().as_secs_f64()
}

/// A viewer that reads a second's frames as they come, and a window that is kept. The share of a core and the bytes are printed; a machine under load
/// takes longer for the same, so what is asserted is five times as much.
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
        let mut stream = host.begin("/page/stream");
        threads.spawn(move || {
            let mut bytes = vec![0; 64 << 10];
            while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
        });
        thread::sleep(Duration::from_secs(5));
        let share = cpu(&host, Duration::from_secs(20));
        let served = host.scrape();
        let value = |name: &str| served.value(name, &[]).expect("it is always there");
        let (bytes, seconds) = (value("ebhost_recorder_bytes"), value("ebhost_recorder_seconds"));
        eprintln!(
            "{SERIES} series at 1 Hz with a viewer and a window: {:.2} % of a core, {:.1} MB in 15 minutes if nothing were compressed",
            share * 100.0,
            bytes / seconds * 900.0 / 1e6
        );
        assert!(served.value("ebhost_plugin_series", &[("plugin", "maps")]).unwrap_or_default() >= SERIES as f64);
        is_over.store(true, Ordering::Relaxed);
        host.terminate(); // ends the stream
        assert!(share < 0.05, "{share}");
    });
    host.wait();
}
