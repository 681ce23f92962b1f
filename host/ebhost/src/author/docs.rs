//! `ebhost docs`: the documentation of packages as Markdown, from their plugin.yaml and the manifest of their component.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use super::{AuthorError, command::DocsArgs, manifest_of, options};
use ebhost_agent::Offline;
use ebhost_metrics::{Family, Kind};
use ebhost_package::{Offer, Package, Settings, read_offer};
use ebhost_plugin_host::Engine;
use ebhost_series::schema::Schema;

/// The prefix of families that an agent without `--namespace` serves.
const NAMESPACE: &str = "ebhost";

/// Families about the tables of a package themselves: every package that counts with counts.h has them.
const ABOUT_TABLES: [&str; 2] = ["_spilled_total", "_lost_total"];

const HEAD: &str = "# Plugin packages

The packages in `plugins/`, as `ebhost docs` prints them and `cargo xtask docs` writes them here. What is off by default costs much or interests few; one line of
[settings](settings.md) switches a package on or off and chooses its options: `plugins: { NAME: on }`. `ebhost options` prints the options with their present values.

Packages that count with `bpf/ebhost/counts.h` also have `PREFIX_spilled_total` and `PREFIX_lost_total{reason}`: counts that took the slower way, and counts for which there was no room at all. With the
option `cg`, families have the label `cgroup` or `unit`; here they are listed with the default choices.
";

/// A package with what its component says of itself.
struct Documented {
    offer: Offer,
    schema: Arc<Schema>,
}

pub(super) fn docs(args: &DocsArgs, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let all = args.packages.iter().map(|folder| documented(folder, engine)).collect::<Result<Vec<_>, _>>()?;
    print!("{}", if args.list { list(&all) } else { pages(&all) });
    Ok(ExitCode::SUCCESS)
}

fn documented(folder: &Path, engine: &Engine) -> Result<Documented, AuthorError> {
    let file: PathBuf = manifest_of(folder)?;
    let settings = Settings::default();
    let package = Package::read(&file, &settings)?;
    let offline = Offline::for_replay(&package, engine, std::env::consts::ARCH)?;
    Ok(Documented { offer: read_offer(&file, &settings)?, schema: offline.table.schema().clone() })
}

fn list(all: &[Documented]) -> String {
    let mut out = "| package | shows | default |\n|---|---|---|\n".to_owned();
    for Documented { offer, .. } in all {
        let (name, summary) = (&offer.name, &offer.about.summary);
        // Writing into a string does not fail.
        let _ = writeln!(out, "| [{name}](docs/plugins.md#{name}) | {summary} | {} |", options::switch(offer.default));
    }
    out
}

fn pages(all: &[Documented]) -> String {
    let mut out = HEAD.to_owned();
    all.iter().for_each(|package| page(package, &mut out));
    out
}

fn page(Documented { offer, schema }: &Documented, out: &mut String) {
    let about = &offer.about;
    let default = options::switch(offer.default);
    let _ = write!(out, "\n## {}\n\n{} Default: {default}.\n\n", offer.name, about.summary);
    out.push_str("| family | type | labels | meaning |\n|---|---|---|---|\n");
    let is_about_tables = |family: &Family| ABOUT_TABLES.iter().any(|end| family.name.ends_with(end));
    for family in schema.families.iter().filter(|family| !is_about_tables(family)) {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        let (name, kind, labels) = (&family.name, kind(&family.kind), labels.join(", "));
        let _ = writeln!(out, "| `{NAMESPACE}_{name}` | {kind} | {labels} | {} |", cell(&family.help));
    }
    if !offer.options.is_empty() {
        out.push_str("\n| option | values | default | meaning |\n|---|---|---|---|\n");
    }
    for (name, option) in &offer.options {
        let default = options::shown(&option.kind, &option.default);
        let cost = if option.cost.is_empty() { String::new() } else { format!(" Cost: {}", option.cost.trim()) };
        let (values, help) = (cell(&option.kind.expected()), cell(option.help.trim()));
        let _ = writeln!(out, "| `{name}` | {values} | {default} | {help}{} |", cell(&cost));
    }
    for (title, text) in [("Requires", &about.requires), ("Cost", &about.cost)] {
        if !text.is_empty() {
            let _ = write!(out, "\n{title}: {}\n", text.trim());
        }
    }
    for (question, query) in &about.queries {
        let _ = write!(out, "\n{question}:\n\n```promql\n{query}\n```\n");
    }
}

fn kind(kind: &Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge(_) => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
