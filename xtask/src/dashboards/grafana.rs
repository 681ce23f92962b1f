//! A Grafana dashboard of a description. It has no data source of its own: whoever imports it chooses one.

use serde_json::{Value, json};

use super::{
    description::{Description, Drawn, Panel, Unit},
    promql::{Histograms, Scope, list},
};

const SCOPE: Scope<'static> = Scope { selector: "job=~\"$job\", instance=~\"$instance\"", range: "$__rate_interval" };

/// A query and the legend of its series.
struct Query {
    expr: String,
    legend: String,
}

pub(super) fn dashboard(description: &Description, histograms: Histograms) -> Value {
    let mut panels = Vec::new();
    for panel in &description.panels {
        let histograms = panel.form(histograms);
        if let Drawn::Histogram { histogram, unit, .. } = &panel.drawn {
            panels.push(heat_map(panel, histogram, *unit, histograms));
        }
        panels.push(lines(panel, histograms));
    }
    for (at, panel) in panels.iter_mut().enumerate() {
        panel["id"] = json!(at + 1);
        panel["gridPos"] = json!({ "x": at % 2 * 12, "y": at / 2 * 9, "w": 12, "h": 9 });
    }
    let form = if histograms == Histograms::Native { ", native histograms" } else { "" };
    json!({
        "title": format!("ebhost: {}{form}", description.title),
        "uid": format!("ebhost-{}{}", description.package, histograms.suffix()),
        "tags": ["ebhost"],
        "schemaVersion": 39,
        "editable": true,
        "refresh": "30s",
        "time": { "from": "now-1h", "to": "now" },
        "templating": { "list": [
            { "name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source" },
            variable("job", "label_values(ebhost_build_info, job)"),
            variable("instance", "label_values(ebhost_build_info{job=~\"$job\"}, instance)"),
        ] },
        "panels": panels,
    })
}

fn variable(name: &str, query: &str) -> Value {
    json!({
        "name": name, "type": "query", "query": query, "datasource": source(), "refresh": 2,
        "includeAll": true, "multi": true, "allValue": ".*", "current": { "text": "All", "value": "$__all" },
    })
}

fn source() -> Value {
    json!({ "type": "prometheus", "uid": "${datasource}" })
}

fn heat_map(panel: &Panel, family: &str, unit: Unit, histograms: Histograms) -> Value {
    let format = if histograms == Histograms::Native { "time_series" } else { "heatmap" };
    json!({
        "type": "heatmap",
        "title": panel.title,
        "description": panel.note,
        "datasource": source(),
        "targets": [{
            "refId": "A", "expr": histograms.buckets(family, SCOPE), "format": format, "legendFormat": "{{le}}",
            "datasource": source(),
        }],
        "options": {
            "calculate": false, "yAxis": { "unit": name(unit) }, "cellGap": 0, "filterValues": { "le": 1e-9 },
            "color": { "mode": "scheme", "scheme": "Oranges", "scale": "exponential", "exponent": 0.5 },
        },
    })
}

fn lines(panel: &Panel, histograms: Histograms) -> Value {
    let (queries, unit) = queries(&panel.drawn, histograms);
    let title = match &panel.drawn {
        Drawn::Histogram { .. } => format!("{}: median and 99th percentile", panel.title),
        _ => panel.title.clone(),
    };
    let target = |(at, query): (usize, Query)| {
        let name = char::from(b'A' + at as u8).to_string();
        json!({ "refId": name, "expr": query.expr, "legendFormat": query.legend, "datasource": source() })
    };
    json!({
        "type": "timeseries",
        "title": title,
        "description": panel.note,
        "datasource": source(),
        "targets": queries.into_iter().enumerate().map(target).collect::<Vec<_>>(),
        "fieldConfig": { "defaults": { "unit": unit, "min": 0, "custom": { "fillOpacity": 8 } }, "overrides": [] },
        "options": { "legend": { "displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"] } },
    })
}

/// The queries of a panel, and Grafana's name of their unit.
fn queries(drawn: &Drawn, histograms: Histograms) -> (Vec<Query>, &'static str) {
    let one = |expr: String, by: &[String]| vec![Query { expr, legend: legend(by) }];
    let rate = |family: &str, by: &[String]| {
        let Scope { selector, range } = SCOPE;
        format!("sum by ({}) (rate({family}{{{selector}}}[{range}]))", list(by, &[]))
    };
    match drawn {
        Drawn::Histogram { histogram, by, unit } => {
            let quantile = |quantile: f64, name: &str| Query {
                expr: histograms.quantile(quantile, histogram, by, SCOPE),
                legend: format!("{name} {}", legend(by)),
            };
            (vec![quantile(0.5, "p50"), quantile(0.99, "p99")], name(*unit))
        }
        Drawn::Count { count, by } => (one(histograms.count(count, by, SCOPE), by), "ops"),
        Drawn::Busy { busy, by, unit } => (one(histograms.sum(busy, by, SCOPE), by), name(unit.per_second())),
        Drawn::Counter { counter, by, unit } => (one(rate(counter, by), by), name(unit.per_second())),
        Drawn::Ratio { ratio, by, unit } => {
            let expr = format!("{} / ({} > 0)", rate(&ratio.of, by), rate(&ratio.to, by));
            (one(expr, by), name(*unit))
        }
        Drawn::Expression { expr, legend, unit } => {
            (vec![Query { expr: expr.clone(), legend: legend.clone() }], name(*unit))
        }
    }
}

fn legend(by: &[String]) -> String {
    let labels = by.iter().map(|label| format!("{{{{{label}}}}}"));
    [String::from("{{instance}}")].into_iter().chain(labels).collect::<Vec<_>>().join(" ")
}

fn name(unit: Unit) -> &'static str {
    match unit {
        Unit::None => "none",
        Unit::Seconds => "s",
        Unit::Bytes => "bytes",
        Unit::BytesPerSecond => "Bps",
        Unit::Ratio => "percentunit",
        Unit::Rate => "ops",
    }
}
