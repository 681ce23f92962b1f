//! Rates for the status page: the growth of a few counters since an earlier report.
//!
//! A counter says nothing to a person who looks once. So the agent keeps a report of some minutes ago, and the page shows what grew since.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ebhost_limits as limits;
use serde::Serialize;

use super::report::{PackageReport, Report};
use crate::Stage;

/// Growth a second since an earlier report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Rates {
    /// How long ago the earlier report was.
    pub over_seconds: f64,
    pub scrapes: f64,
    /// CPU seconds of scrapes a second, by stage.
    pub cpu: Vec<(&'static str, f64)>,
    pub packages: Vec<PackageRates>,
}

/// Growth of one package's counters a second. A package that came since the earlier report has none.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PackageRates {
    pub file: String,
    /// Identities handed to the plugin.
    pub asked: f64,
    pub failed_calls: f64,
    /// Losses of all reasons.
    pub lost: f64,
    /// CPU seconds of scrapes a second, by stage.
    pub cpu: Vec<(&'static str, f64)>,
    pub programs: Vec<ProgramRates>,
    /// Events read, by source.
    pub events: Vec<(String, f64)>,
}

/// Growth of one program's counters a second, while the kernel measures its runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ProgramRates {
    pub name: String,
    pub runs: f64,
    /// Seconds of running a second.
    pub cpu: f64,
}

/// The stages that are done for one package after the other.
const PACKAGE_STAGES: [Stage; 3] = [Stage::Read, Stage::Label, Stage::Count];

impl Rates {
    /// The growth from one report to another.
    pub fn between(earlier: &Report, now: &Report, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        let per_second = |before: f64, after: f64| (after - before).max(0.0) / seconds;
        let cpu = Stage::ALL.map(|stage| {
            let [before, after] = [earlier, now].map(|report| report.stages.of(stage).as_secs_f64());
            (stage.name(), per_second(before, after))
        });
        let package = |now: &PackageReport| {
            let before = earlier.packages.iter().find(|before| before.file == now.file)?;
            Some(PackageRates::between(before, now, &per_second))
        };
        Self {
            over_seconds: seconds,
            scrapes: per_second(*earlier.scrapes as f64, *now.scrapes as f64),
            cpu: cpu.to_vec(),
            packages: now.packages.iter().filter_map(package).collect(),
        }
    }
}

impl PackageRates {
    fn between(before: &PackageReport, now: &PackageReport, per_second: &impl Fn(f64, f64) -> f64) -> Self {
        let sums = |sum: fn(&PackageReport) -> u64| per_second(sum(before) as f64, sum(now) as f64);
        let cpu = PACKAGE_STAGES.map(|stage| {
            (stage.name(), per_second(before.cpu.of(stage).as_secs_f64(), now.cpu.of(stage).as_secs_f64()))
        });
        // A program with another number was loaded since, and began at 0.
        let programs = now.programs.iter().filter_map(|program| {
            let before =
                before.programs.iter().find(|before| before.id == program.id && before.name == program.name)?;
            Some(ProgramRates {
                name: program.name.clone(),
                runs: per_second(before.runs as f64, program.runs as f64),
                cpu: per_second(before.run_seconds, program.run_seconds),
            })
        });
        let events = now.events.iter().filter_map(|events| {
            let before = before.events.iter().find(|before| before.source == events.source)?;
            Some((events.source.clone(), per_second(before.read as f64, events.read as f64)))
        });
        Self {
            file: now.file.clone(),
            asked: sums(|package| package.asked),
            failed_calls: sums(|package| package.failures.iter().map(|(_, count)| count).sum()),
            lost: sums(|package| package.lost.iter().map(|(_, count)| count).sum()),
            cpu: cpu.to_vec(),
            programs: if now.runs_are_measured { programs.collect() } else { Vec::new() },
            events: events.collect(),
        }
    }
}

/// Reports of the last minutes, one a minute.
#[derive(Debug, Default)]
pub struct History(VecDeque<(Instant, Report)>);

impl History {
    /// Keeps a report if the last one that was kept is old enough.
    pub fn note(&mut self, now: Instant, report: &Report) {
        let age = |at: Instant| now.saturating_duration_since(at);
        if self.0.back().is_some_and(|(at, _)| age(*at) < limits::STATUS_SAMPLE) {
            return;
        }
        // One of those that are older than needed stays: it is the earlier report until the next is old enough.
        while self.0.get(1).is_some_and(|(at, _)| age(*at) >= limits::STATUS_WINDOW) {
            self.0.pop_front();
        }
        self.0.push_back((now, report.clone()));
    }

    /// The rates since the oldest report of the window; none if there is no earlier one.
    pub fn rates(&self, now: Instant, report: &Report) -> Option<Rates> {
        let age = |at: Instant| now.saturating_duration_since(at);
        let within = |(at, _): &&(Instant, Report)| age(*at) <= limits::STATUS_WINDOW;
        let (at, earlier) = self.0.iter().find(within).or_else(|| self.0.back())?;
        let time = age(*at);
        (time >= limits::STATUS_LEAST).then(|| Rates::between(earlier, report, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EventsReport, ProgramReport, StageTimes, Volatile};

    fn report(scale: u64) -> Report {
        let mut cpu = StageTimes::default();
        cpu.add(Stage::Label, Duration::from_secs(scale));
        let programs = vec![ProgramReport {
            name: "p".into(),
            id: 7,
            runs: 1000 * scale,
            run_seconds: scale as f64,
            ..ProgramReport::default()
        }];
        let events = vec![EventsReport { source: "ring".into(), read: 50 * scale, lost: 0 }];
        let lost = vec![("a".into(), 20 * scale), ("b".into(), 10 * scale)];
        let package = PackageReport {
            file: "f".into(),
            asked: 100 * scale,
            failures: vec![("trap", 10 * scale)],
            lost,
            cpu: Volatile(cpu),
            programs,
            events,
            runs_are_measured: true,
            ..PackageReport::default()
        };
        Report { scrapes: Volatile(10 * scale), stages: Volatile(cpu), packages: vec![package], ..Report::default() }
    }

    #[test]
    fn rates_are_growth_a_second() {
        let rates = Rates::between(&report(1), &report(3), Duration::from_secs(20));
        assert_eq!((rates.scrapes, rates.over_seconds), (1.0, 20.0));
        assert_eq!(rates.cpu[2], ("label", 0.1));
        let [package] = &rates.packages[..] else { panic!("{rates:?}") };
        assert_eq!((package.asked, package.failed_calls, package.lost), (10.0, 1.0, 3.0));
        assert_eq!(package.cpu, [("read", 0.0), ("label", 0.1), ("count", 0.0)]);
        assert_eq!(package.programs, [ProgramRates { name: "p".into(), runs: 100.0, cpu: 0.1 }]);
        assert_eq!(package.events, [("ring".to_owned(), 5.0)]);
    }

    #[test]
    fn what_began_again_has_no_negative_rate() {
        let mut again = report(1);
        again.packages[0].programs[0].id = 8;
        let rates = Rates::between(&report(5), &again, Duration::from_secs(1));
        assert_eq!((rates.scrapes, rates.packages[0].asked), (0.0, 0.0));
        assert!(rates.packages[0].programs.is_empty(), "it was loaded since");
        again.packages[0].file = "new".into();
        assert!(Rates::between(&report(5), &again, Duration::from_secs(1)).packages.is_empty());
    }

    #[test]
    fn rates_are_over_the_last_five_minutes_or_less() {
        let (start, mut history) = (Instant::now(), History::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        let over = |history: &History, seconds| history.rates(at(seconds), &report(1)).map(|rates| rates.over_seconds);
        assert_eq!(over(&history, 0), None);
        history.note(start, &report(0));
        assert_eq!((over(&history, 0), over(&history, 15)), (None, Some(15.0)));
        for seconds in 1..=1000 {
            history.note(at(seconds), &report(0));
        }
        assert!(history.0.len() <= 7, "{}", history.0.len());
        assert_eq!(over(&history, 1000), Some(280.0));
        // Nobody came for an hour: better the rate since then than none.
        assert_eq!(over(&history, 5000), Some(4040.0));
    }
}
