//! Checks of the variants that a package's options offer: each value is chosen once, with the others at their defaults, so that a variant
//! which names a program, a global or a map that is not there is found before an operator chooses it.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{check::lookup_tables, findings::Finding, fixes};
use ebhost_agent::Offline;
use ebhost_kernel::ObjectFile;
use ebhost_package::{OptionKind, Package, PackageError, Settings, read_offer};
use ebhost_plugin_host::CompiledComponent;

/// What the variants of a package show.
#[derive(Default)]
pub(super) struct Variants {
    pub(super) findings: Vec<Finding>,
    /// The lookup tables that their manifests name.
    pub(super) lookup_tables: BTreeSet<String>,
}

/// Chooses each value of the options that is not the default.
pub(super) fn check(package: &Package, compiled: &Arc<CompiledComponent>) -> Variants {
    let mut variants = Variants::default();
    let Ok(offer) = read_offer(&package.file, &Settings::default()) else { return variants };
    for (name, option) in &offer.options {
        for value in values(&option.kind).into_iter().filter(|value| *value != option.default) {
            let choice = format!("plugins.{}.{name}={value}", package.name);
            check_variant(package, compiled, &choice, &mut variants);
        }
    }
    variants
}

/// The values worth a look: all of the few, the ends of the many.
fn values(kind: &OptionKind) -> Vec<Value> {
    match kind {
        OptionKind::Bool => vec![false.into(), true.into()],
        OptionKind::Enum(values) => values.iter().map(|value| value.as_str().into()).collect(),
        OptionKind::Integers(values) => values.iter().map(|value| (*value).into()).collect(),
        OptionKind::Integer { min, .. } => vec![(*min).into()],
        OptionKind::Time | OptionKind::Text | OptionKind::List => Vec::new(),
    }
}

fn check_variant(package: &Package, compiled: &Arc<CompiledComponent>, choice: &str, variants: &mut Variants) {
    match describe_variant(package, compiled, choice) {
        Ok(lookup_tables) => variants.lookup_tables.extend(lookup_tables),
        Err(findings) => variants.findings.extend(findings),
    }
}

/// The lookup tables that a variant uses, or what is wrong with it.
fn describe_variant(
    package: &Package,
    compiled: &Arc<CompiledComponent>,
    choice: &str,
) -> Result<Vec<String>, Vec<Finding>> {
    let file = package.file.display().to_string();
    let mut settings = Settings::default();
    let variant = match settings
        .set(choice)
        .map_err(PackageError::Invalid)
        .and_then(|()| Package::read(&package.file, &settings))
    {
        Ok(variant) => variant,
        Err(fault) => return Err(vec![fixes::package_finding(&package.file, &fault)]),
    };
    let with_choice = |mut finding: Finding| {
        finding.message = format!("with --set {choice}: {}", finding.message);
        finding
    };
    let object = match variant.bpf.as_ref().map(|bpf| (bpf, ObjectFile::parse(bpf))) {
        None => None,
        Some((bpf, Ok(object))) => {
            let misfits = object.misfits(bpf);
            if !misfits.is_empty() {
                let fix = "make the option and the object agree";
                let misfit = |fault| with_choice(Finding::error("options", &file, fault, fix));
                return Err(misfits.into_iter().map(misfit).collect());
            }
            Some(object)
        }
        // The object is the same for every variant, and is reported by itself.
        Some((_, Err(_))) => return Ok(Vec::new()),
    };
    match Offline::describe(&variant, object.as_ref(), compiled.clone()) {
        Ok(variant) => Ok(lookup_tables(variant.plugin.schema()).collect()),
        Err(fault) => {
            Err(vec![with_choice(fixes::plugin_finding(&package.component.path.display().to_string(), &fault))])
        }
    }
}
