//! The tables of a reading.

use super::{
    args::View,
    cost::{self, Cost},
    reading::Reading,
    status::{Map, MapRoom, Package},
    table::{Cell, Column, Row, Table},
};
use crate::histogram::quantity;

/// Columns of [`View::Programs`]. All columns of a view fit into 80 characters.
const PROGRAMS: [Column; 6] = [
    Column { title: "PACKAGE", width: 16 },
    Column { title: "PROGRAM", width: 0 },
    Column { title: "RUNS/S", width: 9 },
    Column { title: "NS/RUN", width: 7 },
    Column { title: "CPU %", width: 7 },
    Column { title: "ATTACHED", width: 12 },
];

const PACKAGES: [Column; 8] = [
    Column { title: "PACKAGE", width: 0 },
    Column { title: "STATE", width: 12 },
    Column { title: "RUNS/S", width: 9 },
    Column { title: "NS/RUN", width: 7 },
    Column { title: "CPU %", width: 7 },
    Column { title: "LIMIT %", width: 7 },
    Column { title: "MAPS", width: 10 },
    Column { title: "SERIES", width: 7 },
];

const MAPS: [Column; 7] = [
    Column { title: "PACKAGE", width: 14 },
    Column { title: "MAP", width: 0 },
    Column { title: "ENTRIES", width: 9 },
    Column { title: "OF", width: 9 },
    Column { title: "FILL %", width: 6 },
    Column { title: "MEMORY", width: 10 },
    Column { title: "READ MS", width: 8 },
];

const HISTOGRAMS: [Column; 4] = [
    Column { title: "FAMILY", width: 30 },
    Column { title: "LABELS", width: 0 },
    Column { title: "COUNT", width: 11 },
    Column { title: "MEAN", width: 11 },
];

/// The columns of a view.
pub(super) fn columns(view: View) -> &'static [Column] {
    match view {
        View::Programs => &PROGRAMS,
        View::Packages => &PACKAGES,
        View::Maps => &MAPS,
        View::Histograms => &HISTOGRAMS,
    }
}

/// The column by which a view is sorted if nothing is said.
pub(super) fn usual_column(view: View) -> usize {
    let title = match view {
        View::Programs | View::Packages => "CPU %",
        View::Maps => "FILL %",
        View::Histograms => "COUNT",
    };
    Table::column(columns(view), title).unwrap_or_default()
}

/// A view of a reading; `before` is an earlier one, for rates.
pub(super) fn table(view: View, now: &Reading, before: Option<&Reading>) -> Table {
    let packages = now.status.packages.iter();
    let rows: Vec<Row> = match view {
        View::Programs => packages.flat_map(|package| program_rows(package, now, before)).collect(),
        View::Packages => packages.map(|package| package_row(package, now, before)).collect(),
        View::Maps => packages.flat_map(map_rows).collect(),
        View::Histograms => histogram_rows(now),
    };
    Table { columns: columns(view), rows }
}

fn program_rows(package: &Package, now: &Reading, before: Option<&Reading>) -> Vec<Row> {
    let costs = cost::of_programs(package, now, before);
    let row = |(program, cost): (&super::status::Program, Cost)| {
        let attached = if program.reason.is_empty() { "yes" } else { &program.reason };
        let mut cells = vec![Cell::text(&package.name), Cell::text(&program.name)];
        cells.extend(cost_cells(cost));
        cells.push(Cell::text(attached));
        Row { cells, is_bad: !program.reason.is_empty() }
    };
    package.programs.iter().zip(costs).map(row).collect()
}

/// Runs a second, time of a run, share of a CPU.
fn cost_cells(cost: Cost) -> [Cell; 3] {
    [
        Cell::number(cost.runs, short),
        Cell::number(cost.nanoseconds(), |nanoseconds| format!("{nanoseconds:.0}")),
        Cell::number(cost.cpu, |cpu| format!("{:.3}", cpu * 100.0)),
    ]
}

fn package_row(package: &Package, now: &Reading, before: Option<&Reading>) -> Row {
    let cost = cost::of_package(package, now, before);
    let state = match package.state.as_deref() {
        _ if !package.fault.is_empty() && package.state.is_none() => "refused",
        state => state.unwrap_or("unknown"),
    };
    let limit = package.kernel_cpu.as_ref().map(|kernel_cpu| kernel_cpu.limit).filter(|limit| *limit > 0.0);
    let of_limit = cost.cpu.zip(limit).map(|(cpu, limit)| cpu / limit * 100.0);
    let memory: u64 = package.map_memory.iter().map(|(_, bytes)| bytes).sum();
    let mut cells = vec![Cell::text(&package.name), Cell::text(state)];
    cells.extend(cost_cells(cost));
    cells.push(Cell::number(of_limit, |percent| format!("{percent:.1}")));
    cells.push(Cell::number(Some(memory as f64), bytes));
    cells.push(Cell::number(Some(package.series as f64), |series| format!("{series:.0}")));
    Row { cells, is_bad: !package.is_up }
}

/// Every map of the object, with what is known of those that are read.
fn map_rows(package: &Package) -> Vec<Row> {
    let only_read = package.maps.iter().filter(|map| !package.map_memory.iter().any(|(name, _)| *name == map.name));
    let names = package.map_memory.iter().map(|(name, _)| name).chain(only_read.map(|map| &map.name));
    let row = |name: &String| {
        let map = package.maps.iter().find(|map| map.name == *name);
        let memory = package.map_memory.iter().find(|(of, _)| of == name).map(|(_, bytes)| *bytes as f64);
        let fill = map.and_then(fill);
        let of_map = |number: fn(&Map) -> f64| map.map(number);
        let whole = |number: f64| format!("{number:.0}");
        let cells = vec![
            Cell::text(&package.name),
            Cell::text(name),
            Cell::number(of_map(|map| map.entries as f64), whole),
            Cell::number(of_map(|map| map.max_entries as f64), whole),
            Cell::number(fill, |fill| format!("{:.1}", fill * 100.0)),
            Cell::number(memory, bytes),
            Cell::number(of_map(|map| map.read_seconds * 1e3), |millis| format!("{millis:.3}")),
        ];
        let is_bounded = map.is_some_and(|map| map.room == MapRoom::Bounded);
        Row { cells, is_bad: is_bounded && fill.is_some_and(|fill| fill >= ebhost_limits::NEAR) }
    };
    names.map(row).collect()
}

/// The part of a map's room that is used; none: it is an array, which is never full.
fn fill(map: &Map) -> Option<f64> {
    (map.room != MapRoom::Fixed && map.max_entries > 0).then(|| map.entries as f64 / map.max_entries as f64)
}

fn histogram_rows(now: &Reading) -> Vec<Row> {
    let row = |histogram: &super::exposition::Histogram| {
        let count = histogram.count() as f64;
        let mean = histogram.sum.map(|sum| sum / count);
        let cells = vec![
            Cell::text(&histogram.family),
            Cell::text(&histogram.labels),
            Cell::number(Some(count), |count| format!("{count:.0}")),
            Cell::number(mean, |mean| quantity(mean, histogram.unit())),
        ];
        Row { cells, is_bad: false }
    };
    now.histograms.iter().flatten().map(row).collect()
}

/// A number in at most 9 characters.
fn short(value: f64) -> String {
    match value {
        value if value < 100.0 => format!("{value:.2}"),
        value if value < 1e6 => format!("{value:.0}"),
        value if value < 1e9 => format!("{:.3}M", value / 1e6),
        value => format!("{:.3}G", value / 1e9),
    }
}

/// Bytes with a unit, in at most 10 characters.
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(1_073_741_824.0, "GiB"), (1_048_576.0, "MiB"), (1024.0, "KiB")];
    match UNITS.iter().find(|(size, _)| value >= *size) {
        Some((size, name)) => format!("{:.1} {name}", value / size),
        None => format!("{value:.0} B"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::top::status::Status;

    fn reading(json: &str) -> Reading {
        let status: Status = serde_json::from_str(json).unwrap();
        Reading { at: Instant::now(), status, histograms: None }
    }

    fn shown(view: View, json: &str) -> Vec<String> {
        let table = table(view, &reading(json), None);
        table.rows.iter().map(|row| row.cells.iter().map(Cell::shown).collect::<Vec<_>>().join("|")).collect()
    }

    const STATUS: &str = r#"{"kernel_cpu_measured": true, "packages": [
        {"name": "io", "is_up": true, "state": "running", "series": 12, "kernel_cpu": {"limit": 0.1},
         "programs": [{"name": "issue", "cpu_ratio": 0.002, "run_duration_seconds": 2e-7},
                      {"name": "done", "reason": "no_target"}],
         "map_memory": [["banks", 1048576], ["tags", 2048]],
         "maps": [{"name": "banks", "room": "fixed", "entries": 256, "max_entries": 256, "read_seconds": 0.00125},
                  {"name": "spill", "room": "bounded", "entries": 90, "max_entries": 100}]},
        {"name": "bad", "fault": "it is", "state": "refused"}]}"#;

    #[test]
    fn programs_have_their_cost_and_why_they_are_not_attached() {
        assert_eq!(shown(View::Programs, STATUS), ["io|issue|10000|200|0.200|yes", "io|done|-|-|-|no_target"]);
    }

    #[test]
    fn packages_have_the_cost_of_their_programs_and_the_memory_of_their_maps() {
        let rows = ["io|running|10000|200|0.200|2.0|1.0 MiB|12", "bad|refused|-|-|-|-|0 B|0"];
        assert_eq!(shown(View::Packages, STATUS), rows);
    }

    #[test]
    fn maps_have_their_fill_unless_they_are_never_full() {
        let rows = ["io|banks|256|256|-|1.0 MiB|1.250", "io|tags|-|-|-|2.0 KiB|-", "io|spill|90|100|90.0|-|0.000"];
        assert_eq!(shown(View::Maps, STATUS), rows);
        let bad: Vec<_> = table(View::Maps, &reading(STATUS), None).rows.iter().map(|row| row.is_bad).collect();
        assert_eq!(bad, [false, false, true]);
    }

    #[test]
    fn every_view_fits_into_eighty_characters() {
        for view in View::ALL {
            let columns = columns(view);
            let fixed: u16 = columns.iter().map(|column| column.width + 1).sum();
            assert!(fixed + 12 <= 80, "{view:?}: {fixed}");
            assert_eq!(columns.iter().filter(|column| column.width == 0).count(), 1);
        }
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.5, 99.0, 100.0, 999_999.0, 1_234_567.0, 2e9].map(short);
        assert_eq!(shown, ["0.50", "99.00", "100", "999999", "1.235M", "2.000G"]);
        assert_eq!([12.0, 4096.0, 5e9].map(bytes), ["12 B", "4.0 KiB", "4.7 GiB"]);
    }
}
