//! Checks of the variants that a package's options offer: each value is chosen once, with the others at their defaults, so that a variant
//! which names a program, a global or a map that is not there is found before an operator chooses it.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    check::lookup_tables,
    findings::{Finding, Severity},
    fixes,
};
use ebhost_agent::Offline;
use ebhost_kernel::ObjectFile;
use ebhost_package::{OptionKind, Package, PackageError, Settings, read_offer};
use ebhost_plugin_host::CompiledComponent;
use ebhost_series::schema::Schema;

/// The findings of a package's variants.
#[derive(Default)]
pub(super) struct Variants {
    pub(super) findings: Vec<Finding>,
    /// The lookup tables that their manifests name.
    pub(super) lookup_tables: BTreeSet<String>,
    /// The families that any of them has.
    pub(super) families: BTreeSet<String>,
}

impl Variants {
    /// Adds what a variant's manifest names.
    pub(super) fn add(&mut self, schema: &Schema) {
        self.lookup_tables.extend(lookup_tables(schema));
        self.families.extend(schema.families.iter().map(|family| family.name.clone()));
    }
}

/// Chooses each value of the options that is not the default, and looks for options that nothing depends on.
pub(super) fn check(package: &Package, compiled: &Arc<CompiledComponent>) -> Variants {
    let mut variants = Variants::default();
    let Ok(offer) = read_offer(&package.file, &Settings::default()) else { return variants };
    let file = package.file.display().to_string();
    let unused = |name: &String| {
        let message = format!("nothing depends on the option `{name}`");
        let fix =
            format!("put `${name}` where its value belongs, say under `when` what a value changes, or leave it out");
        Finding::warning("options", &file, message, &fix)
    };
    variants.findings.extend(offer.unused.iter().map(unused));
    for (name, option) in &offer.options {
        for probe in probes(&option.kind, &option.default) {
            let choice = format!("plugins.{}.{name}={}", package.name, probe.value);
            match describe_variant(package, compiled, &choice) {
                Ok(schema) => schema.iter().for_each(|schema| variants.add(schema)),
                Err(found) => {
                    variants.findings.extend(found.into_iter().map(|finding| probe.judged(finding, &option.kind)));
                }
            }
        }
    }
    variants
}

fn fix_of_unstated(kind: &OptionKind) -> &'static str {
    match kind {
        OptionKind::Time => "make the global a u64 of nanoseconds",
        _ => "give the option a `max` that fits every place that names it",
    }
}

/// A value to try.
struct Probe {
    /// As a setting has it.
    value: String,
    bound: Bound,
}

impl Probe {
    /// Nobody may ever choose a value that the author has not thought of; but an operator may, and is told only then.
    fn judged(&self, mut finding: Finding, kind: &OptionKind) -> Finding {
        if self.bound == Bound::Unstated {
            finding.severity = Severity::Warning;
            fix_of_unstated(kind).clone_into(&mut finding.fix);
        }
        finding
    }
}

/// Whether the author has said that the value may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Stated,
    Unstated,
}

/// The values worth a look: all of the few, the ends of the many.
fn probes(kind: &OptionKind, default: &Value) -> Vec<Probe> {
    let probe = |value: String, bound| Probe { value, bound };
    let stated = |value: Value| (value != *default).then(|| probe(value.to_string(), Bound::Stated));
    match kind {
        OptionKind::Bool => [false, true].into_iter().filter_map(|value| stated(value.into())).collect(),
        OptionKind::Enum(values) => values.iter().filter_map(|value| stated(value.as_str().into())).collect(),
        OptionKind::Integers(values) => values.iter().filter_map(|value| stated((*value).into())).collect(),
        OptionKind::Integer { min, max: i64::MAX } => {
            let most = Some(probe(i64::MAX.to_string(), Bound::Unstated));
            stated((*min).into()).into_iter().chain(most).collect()
        }
        OptionKind::Integer { min, max } => [*min, *max].into_iter().filter_map(|value| stated(value.into())).collect(),
        OptionKind::Time => ["1us", "3600s"].map(|time| probe(time.to_owned(), Bound::Unstated)).into(),
        OptionKind::Text | OptionKind::List => Vec::new(),
    }
}

/// The schema of a variant, or what is wrong with it. None: its object is faulty, which is reported by itself.
fn describe_variant(
    package: &Package,
    compiled: &Arc<CompiledComponent>,
    choice: &str,
) -> Result<Option<Arc<Schema>>, Vec<Finding>> {
    let file = package.file.display().to_string();
    let with_choice = |mut finding: Finding| {
        finding.message = format!("with --set {choice}: {}", finding.message);
        finding
    };
    let mut settings = Settings::default();
    let variant = match settings
        .set(choice)
        .map_err(PackageError::Invalid)
        .and_then(|()| Package::read(&package.file, &settings))
    {
        Ok(variant) => variant,
        Err(fault) => return Err(vec![with_choice(fixes::package_finding(&package.file, &fault))]),
    };
    let object = match variant.bpf.as_ref().map(|bpf| (bpf, ObjectFile::parse(bpf))) {
        None => None,
        Some((bpf, Ok(object))) => {
            let misfits: Vec<_> = object.misfits(bpf).into_iter().chain(object.perf_misfits(&variant.perf)).collect();
            if !misfits.is_empty() {
                let fix = "make the option and the object agree";
                let misfit = |fault| with_choice(Finding::error("options", &file, fault, fix));
                return Err(misfits.into_iter().map(misfit).collect());
            }
            Some(object)
        }
        Some((_, Err(_))) => return Ok(None),
    };
    match Offline::describe(&variant, object.as_ref(), compiled.clone()) {
        Ok(variant) => Ok(Some(variant.plugin.schema().clone())),
        Err(fault) => {
            Err(vec![with_choice(fixes::plugin_finding(&package.component.path.display().to_string(), &fault))])
        }
    }
}
