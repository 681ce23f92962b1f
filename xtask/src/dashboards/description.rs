//! The description of a package's panels and alerts, as its file has it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::promql::Histograms;

/// `examples/panels/NAME.yaml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Description {
    pub(super) package: String,
    pub(super) title: String,
    /// Whether its histograms can be native.
    #[serde(default)]
    pub(super) native: bool,
    /// The package's families in the order in which the live page shows them.
    pub(super) families: Vec<String>,
    pub(super) panels: Vec<Panel>,
    pub(super) alerts: Vec<Alert>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Panel {
    pub(super) title: String,
    #[serde(default)]
    pub(super) note: String,
    /// The form of its histogram, if it has another one than the package's others.
    pub(super) form: Option<Histograms>,
    #[serde(flatten)]
    pub(super) drawn: Drawn,
}

impl Panel {
    /// The form of its histograms in a dashboard for this one.
    pub(super) fn form(&self, histograms: Histograms) -> Histograms {
        self.form.unwrap_or(histograms)
    }
}

/// The data of a panel.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Drawn {
    /// A heat map and quantiles of a histogram.
    Histogram {
        histogram: String,
        by: Vec<String>,
        #[serde(default = "Unit::seconds")]
        unit: Unit,
    },
    /// Its observations a second.
    Count { count: String, by: Vec<String> },
    /// The sum of its observations a second: of times, how many are under way at once.
    Busy {
        busy: String,
        by: Vec<String>,
        #[serde(default = "Unit::none")]
        unit: Unit,
    },
    /// The rate of a counter.
    Counter {
        counter: String,
        by: Vec<String>,
        #[serde(default)]
        unit: Unit,
    },
    /// The rate of one counter to another's.
    Ratio {
        ratio: Ratio,
        by: Vec<String>,
        #[serde(default = "Unit::ratio")]
        unit: Unit,
    },
    /// Any expression that is the same for both forms of histograms.
    Expression { expr: String, legend: String, unit: Unit },
}

#[derive(Debug, Deserialize)]
pub(super) struct Ratio {
    pub(super) of: String,
    pub(super) to: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    None,
    Seconds,
    Bytes,
    BytesPerSecond,
    Ratio,
    #[default]
    Rate,
}

impl Unit {
    fn none() -> Self {
        Self::None
    }

    fn seconds() -> Self {
        Self::Seconds
    }

    fn ratio() -> Self {
        Self::Ratio
    }

    /// The unit of a rate of such numbers.
    pub(super) fn per_second(self) -> Self {
        if self == Self::Bytes { Self::BytesPerSecond } else { self }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Alert {
    pub(super) name: String,
    pub(super) summary: String,
    pub(super) severity: String,
    /// How long its condition holds before it fires.
    #[serde(rename = "for")]
    pub(super) time: String,
    #[serde(flatten)]
    pub(super) condition: Condition,
    /// Labels of the alert in its test, beside instance and severity.
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
    /// Series, one value a minute, of which it fires, and of which it does not. All have the instance `i`.
    pub(super) fires: BTreeMap<String, String>,
    pub(super) quiet: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Condition {
    Objective { objective: Objective },
    Busy { busy: BusyAbove },
    Expression { expr: String },
}

/// That a share of observations is within a bound.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Objective {
    pub(super) histogram: String,
    #[serde(rename = "where", default)]
    pub(super) selector: String,
    #[serde(default)]
    pub(super) by: Vec<String>,
    /// In the histogram's unit. Exact where it is the bound of a bucket; elsewhere it is interpolated within one.
    pub(super) within: f64,
    pub(super) share: f64,
    /// So many times faster than allowed is the budget of failures used up.
    pub(super) burn: f64,
    /// Observations a second below which it says nothing.
    pub(super) least: f64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BusyAbove {
    pub(super) histogram: String,
    #[serde(rename = "where", default)]
    pub(super) selector: String,
    #[serde(default)]
    pub(super) by: Vec<String>,
    pub(super) above: f64,
}

impl Drawn {
    /// The family that it draws, if it is one.
    pub(super) fn family(&self) -> Option<&String> {
        match self {
            Self::Histogram { histogram: family, .. } | Self::Counter { counter: family, .. } => Some(family),
            _ => None,
        }
    }
}
