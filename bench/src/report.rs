//! Prints the results as Markdown tables, which can be copied into docs/.

#![allow(clippy::print_stdout, reason = "the benchmark prints its results")]

use std::time::Duration;

use crate::host::{Accepted, STAGES, Spent};

/// The measurements of one scrape and its floor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) floor: Duration,
    pub(crate) spent: Spent,
    pub(crate) bytes: usize,
}

/// The measurements of one map in one state.
pub(crate) struct Measured {
    pub(crate) map: String,
    pub(crate) entries: usize,
    pub(crate) state: &'static str,
    pub(crate) rounds: Vec<Round>,
    /// The time of the in-process variants, sandboxed and native, with the read of the map.
    pub(crate) pair: Option<(Duration, Duration)>,
    /// The resident memory now and its maximum, in MB.
    pub(crate) memory: (f64, f64),
}

pub(crate) fn head() {
    println!(
        "| map | entries | state | read | label (sandbox) | count | print | HTTP | whole scrape | floor | whole ÷ floor | sandbox ÷ native | bytes | RSS MB (highest) |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
}

impl Measured {
    pub(crate) fn print(&self) {
        let each = |time: &dyn Fn(&Round) -> Duration| {
            median(self.rounds.iter().map(time)).as_nanos() as f64 / self.entries as f64
        };
        let stage = |name: &str| {
            let at = STAGES.iter().position(|stage| *stage == name).expect("a stage");
            each(&|round| round.spent.stages[at])
        };
        let stages: Duration = Duration::ZERO;
        let http = each(&|round| {
            round.spent.all.saturating_sub(round.spent.stages.iter().fold(stages, |sum, stage| sum + *stage))
        });
        // A scrape and its floor are measured at the same moment, so the median of their ratios suffers least from noise.
        let mut ratios: Vec<f64> =
            self.rounds.iter().map(|round| round.spent.all.as_secs_f64() / round.floor.as_secs_f64()).collect();
        ratios.sort_by(f64::total_cmp);
        let native = self.pair.map_or_else(String::new, |(sandboxed, native)| {
            format!("{:.3}", sandboxed.as_secs_f64() / native.as_secs_f64())
        });
        let bytes = self.rounds.last().map_or(0, |round| round.bytes);
        println!(
            "| {} | {} | {} | {:.1} | {:.1} ({:.1}) | {:.1} | {:.1} | {:.1} | **{:.1}** | {:.1} | **{:.2}** | {native} | {bytes} | {:.0} ({:.0}) |",
            self.map,
            self.entries,
            self.state,
            stage("read"),
            stage("label") + stage("lookup"),
            each(&|round| round.spent.guest),
            stage("count"),
            stage("print"),
            http,
            each(&|round| round.spent.all),
            each(&|round| round.floor),
            ratios[ratios.len() / 2],
            self.memory.0,
            self.memory.1,
        );
    }
}

/// The measurements of one map as Prometheus asks for it.
pub(crate) struct AskedRow {
    pub(crate) entries: usize,
    /// Percent of the values that changed between two scrapes.
    pub(crate) changed: usize,
    pub(crate) accepted: Accepted,
    pub(crate) floor: Duration,
    /// The CPU time of each scrape, and the bytes of its response.
    pub(crate) scrapes: Vec<(Spent, usize)>,
    pub(crate) text_bytes: usize,
    /// The bytes of that text compressed by level 6.
    pub(crate) level_6: usize,
    pub(crate) memory: (f64, f64),
}

pub(crate) fn asked_head() {
    println!(
        "\n| entries | changed | encoding | read | count | print | send | whole scrape | warm floor | whole ÷ floor | median ÷ floor | bytes | ÷ level 6 | RSS MB (highest) |"
    );
    println!("|--:|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
}

impl AskedRow {
    pub(crate) fn print(&self) {
        let entries = self.entries as f64;
        let each = |time: Duration| time.as_nanos() as f64 / entries;
        let best = |time: &dyn Fn(&Spent) -> Duration| each(tenth(self.scrapes.iter().map(|(spent, _)| time(spent))));
        let stage = |name: &str| {
            let at = STAGES.iter().position(|stage| *stage == name).expect("a stage");
            best(&|spent| spent.stages[at])
        };
        let whole = best(&|spent| spent.all);
        let typical = each(median(self.scrapes.iter().map(|(spent, _)| spent.all)));
        let floor = each(self.floor);
        let bytes = self.scrapes.last().map_or(0, |(_, bytes)| *bytes);
        let compared = match self.accepted {
            Accepted::Plain => format!("{:.2}", self.text_bytes as f64 / self.level_6 as f64),
            Accepted::Gzip => format!("**{:.2}**", bytes as f64 / self.level_6 as f64),
        };
        println!(
            "| {} | {} % | {} | {:.1} | {:.1} | {:.1} | {:.1} | **{whole:.1}** | {floor:.1} | **{:.2}** | {:.2} | {bytes} | {compared} | {:.0} ({:.0}) |",
            self.entries,
            self.changed,
            self.accepted,
            stage("read"),
            stage("count"),
            stage("print"),
            best(&|spent| spent.all.saturating_sub(spent.stages.iter().sum())),
            whole / floor,
            typical / floor,
            self.memory.0,
            self.memory.1,
        );
    }
}

/// The time that a tenth of these is below. It stands for the best one: virtual machines sometimes take more time from a thread than others had,
/// and such a time is less than what was spent.
pub(crate) fn tenth(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 10).copied().unwrap_or_default()
}

pub(crate) fn median(times: impl Iterator<Item = Duration>) -> Duration {
    let mut times: Vec<Duration> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// Prints a line of the second table.
pub(crate) fn line(what: &str, measured: &str) {
    println!("| {what} | {measured} |");
}

pub(crate) fn text(text: &str) {
    println!("{text}");
}
