//! Expressions for classic and for native histograms.

use serde::Deserialize;

use super::description::{BusyAbove, Objective};

/// How Prometheus stores histograms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Histograms {
    Classic,
    Native,
}

/// Which series an expression is about, and over which time it looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) selector: &'a str,
    pub(super) range: &'a str,
}

impl Histograms {
    pub(super) const ALL: [Self; 2] = [Self::Classic, Self::Native];

    pub(super) fn suffix(self) -> &'static str {
        if self == Self::Classic { "" } else { "-native" }
    }

    pub(super) fn quantile(self, quantile: f64, family: &str, by: &[String], scope: Scope<'_>) -> String {
        let Scope { selector, range } = scope;
        match self {
            Self::Classic => {
                let by = list(by, &["le"]);
                format!("histogram_quantile({quantile}, sum by ({by}) (rate({family}_bucket{{{selector}}}[{range}])))")
            }
            Self::Native => {
                let by = list(by, &[]);
                format!("histogram_quantile({quantile}, sum by ({by}) (rate({family}{{{selector}}}[{range}])))")
            }
        }
    }

    /// Observations of each bucket, for a heat map.
    pub(super) fn buckets(self, family: &str, scope: Scope<'_>) -> String {
        let Scope { selector, range } = scope;
        match self {
            Self::Classic => format!("sum by (le) (increase({family}_bucket{{{selector}}}[{range}]))"),
            Self::Native => format!("sum (increase({family}{{{selector}}}[{range}]))"),
        }
    }

    pub(super) fn count(self, family: &str, by: &[String], scope: Scope<'_>) -> String {
        self.part("count", family, by, scope)
    }

    pub(super) fn sum(self, family: &str, by: &[String], scope: Scope<'_>) -> String {
        self.part("sum", family, by, scope)
    }

    /// The rate of the count or the sum.
    fn part(self, part: &str, family: &str, by: &[String], Scope { selector, range }: Scope<'_>) -> String {
        let by = list(by, &[]);
        match self {
            Self::Classic => format!("sum by ({by}) (rate({family}_{part}{{{selector}}}[{range}]))"),
            Self::Native => format!("sum by ({by}) (histogram_{part}(rate({family}{{{selector}}}[{range}])))"),
        }
    }

    /// That the objective is missed fast enough to be told.
    ///
    /// Where 14.4 of 100 observations may be above a bound, the 85.6th percentile has to be below it. Asked this way the rule is the same for
    /// both forms and needs no bucket of a certain name; it is exact wherever the bound is that of a bucket.
    pub(super) fn missed(self, objective: &Objective) -> String {
        let Objective { histogram, selector, by, within, share, burn, least } = objective;
        let scope = Scope { selector, range: "5m" };
        let quantile = (1e6 * (1.0 - burn * (1.0 - share))).round() / 1e6;
        let (found, count) = (self.quantile(quantile, histogram, by, scope), self.count(histogram, by, scope));
        format!("{found} >= {within} and on ({}) {count} > {least}", list(by, &[]))
    }

    pub(super) fn busy_above(self, busy: &BusyAbove) -> String {
        let sum = self.sum(&busy.histogram, &busy.by, Scope { selector: &busy.selector, range: "5m" });
        format!("{sum} > {}", busy.above)
    }
}

/// Labels of a grouping: the instance, and these.
pub(super) fn list(by: &[String], more: &[&str]) -> String {
    let labels = ["instance"].into_iter().chain(by.iter().map(String::as_str)).chain(more.iter().copied());
    labels.collect::<Vec<_>>().join(", ")
}
