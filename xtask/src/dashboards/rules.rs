//! Alerting rules of a description, and promtool's test of them.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use super::{
    description::{Alert, Condition, Description},
    promql::Histograms,
};

/// By then every alert that fires has fired: the longest `for` is 15 minutes, and rates look back 15.
const EVALUATED: &str = "29m";

pub(super) fn rules(description: &Description, histograms: Histograms) -> String {
    let mut out = made_of(description);
    let name = format!("ebhost-{}{}", description.package, histograms.suffix());
    let _ = write!(out, "groups:\n- name: {name}\n  rules:\n"); // a string takes everything
    for alert in &description.alerts {
        let _ = rule(&mut out, alert, histograms);
    }
    out
}

fn rule(out: &mut String, alert: &Alert, histograms: Histograms) -> fmt::Result {
    let expr = match &alert.condition {
        Condition::Objective { objective } => histograms.missed(objective),
        Condition::Busy { busy } => histograms.busy_above(busy),
        Condition::Expression { expr } => expr.clone(),
    };
    writeln!(out, "  - alert: {}\n    expr: {}", alert.name, quoted(&expr))?;
    writeln!(out, "    for: {}\n    labels: {{ severity: {} }}", alert.time, alert.severity)?;
    writeln!(out, "    annotations: {{ summary: {} }}", quoted(&alert.summary))
}

/// The test of the rules for classic histograms: each alert fires of one set of series, and not of another.
pub(super) fn test(description: &Description) -> String {
    let mut out = made_of(description);
    let _ = write!(out, "rule_files: [{}.yml]\nevaluation_interval: 1m\ntests:\n", description.package);
    for alert in &description.alerts {
        let _ = case(&mut out, alert, true);
        let _ = case(&mut out, alert, false);
    }
    out
}

fn case(out: &mut String, alert: &Alert, fires: bool) -> fmt::Result {
    let series = if fires { &alert.fires } else { &alert.quiet };
    writeln!(out, "- interval: 1m\n  input_series:")?;
    for (name, values) in series {
        writeln!(out, "  - {{ series: {}, values: '{values}' }}", quoted(&with_instance(name)))?;
    }
    writeln!(out, "  alert_rule_test:\n  - eval_time: {EVALUATED}\n    alertname: {}", alert.name)?;
    if !fires {
        return Ok(());
    }
    let mut labels: BTreeMap<_, _> = alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    labels.extend([("instance", "i"), ("severity", alert.severity.as_str())]);
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}: {}", quoted(value))).collect();
    writeln!(out, "    exp_alerts:\n    - exp_labels: {{ {} }}", labels.join(", "))?;
    writeln!(out, "      exp_annotations: {{ summary: {} }}", quoted(&summary(alert)))
}

/// The summary as the alert of the test has it. A summary with a value names it in the description's test itself.
fn summary(alert: &Alert) -> String {
    let mut text = alert.summary.replace("{{ $labels.instance }}", "i");
    for (name, value) in &alert.labels {
        text = text.replace(&format!("{{{{ $labels.{name} }}}}"), value);
    }
    for (template, key) in [("{{ $value | humanizePercentage }}", "90%"), ("{{ $value }}", "2")] {
        text = text.replace(template, key);
    }
    text
}

/// A series with the instance that all series of the tests have.
fn with_instance(series: &str) -> String {
    match series.split_once('{') {
        Some((name, labels)) => format!("{name}{{instance=\"i\",{labels}"),
        None => format!("{series}{{instance=\"i\"}}"),
    }
}

fn made_of(description: &Description) -> String {
    format!("# Made by `cargo xtask dashboards` of examples/panels/{}.yaml.\n", description.package)
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
