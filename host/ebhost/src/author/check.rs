//! `ebhost check`: checks everything that loading a package checks without the kernel, and also what loading assumes: that decoding is
//! pure and does not come near its limits.
//!
//! It goes on after a finding as long as further checks make sense, so that one run shows several mistakes.

use std::{collections::BTreeSet, path::Path, process::ExitCode, sync::Arc};

use super::{
    AuthorError,
    command::{CheckArgs, OutputFormat},
    core_check::{self, WithoutCore},
    cost,
    findings::{Finding, Severity},
    fixes, manifest_of, plausible, purity, queries,
    recording::Recording,
    replay::{self, Played},
    stale::{self, Stale},
    variants,
};
use ebhost_agent::{MetricNameRegistry, Offline, check_conflicts};
use ebhost_kernel::{ObjectError, ObjectFile};
use ebhost_package::{Package, Settings, read_offer};
use ebhost_plugin_host::{CompiledComponent, Engine, ManifestRule, PluginError};
use ebhost_series::schema::Schema;

pub(super) fn check(args: &CheckArgs, engine: &Engine) -> Result<ExitCode, AuthorError> {
    let mut taken = MetricNameRegistry::default();
    let (mut is_sound, mut has_warnings) = (true, false);
    for package in &args.packages {
        let mut findings = check_package(package, engine, &mut taken);
        if let Some(recording) = args.recording.as_deref().filter(|_| findings.iter().all(is_warning)) {
            findings.extend(check_recording(package, recording, engine));
        }
        is_sound &= findings.iter().all(is_warning);
        has_warnings |= findings.iter().any(is_warning);
        match args.format {
            OutputFormat::Text => print_text(package, &findings),
            OutputFormat::Json => print_json(package, &findings),
        }
    }
    let is_passed = is_sound && !(args.deny_warnings && has_warnings);
    Ok(if is_passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether a package passes its checks; the mistakes are printed if it does not.
pub(super) fn loads(package: &Path, engine: &Engine) -> bool {
    let findings = check_package(package, engine, &mut MetricNameRegistry::default());
    let is_sound = findings.iter().all(is_warning);
    if !is_sound {
        print_text(package, &findings);
    }
    is_sound
}

fn is_warning(finding: &Finding) -> bool {
    finding.severity == Severity::Warning
}

fn print_text(package: &Path, findings: &[Finding]) {
    for finding in findings {
        println!("{}", finding.text());
    }
    let errors = findings.iter().filter(|finding| !is_warning(finding)).count();
    let warnings = findings.len() - errors;
    let verdict = if errors == 0 { "good" } else { "does not load" };
    println!("{}: {verdict}, {errors} errors, {warnings} warnings", package.display());
}

fn print_json(package: &Path, findings: &[Finding]) {
    let good = findings.iter().all(is_warning);
    println!("{}", serde_json::json!({ "package": package, "good": good, "findings": findings }));
}

/// Findings about a package; `taken` are the names of the packages before.
fn check_package(folder: &Path, engine: &Engine, taken: &mut MetricNameRegistry) -> Vec<Finding> {
    let package = match manifest_of(folder) {
        Err(fault) => {
            let place = folder.display().to_string();
            return vec![Finding::error("package", &place, fault, "name the package's own folder")];
        }
        Ok(file) => match Package::read(&file, &Settings::default()) {
            Ok(package) => package,
            Err(fault) => return vec![fixes::package_finding(&file, &fault)],
        },
    };
    let mut findings: Vec<_> = stale::artefacts(&package).iter().map(stale_finding).collect();
    let object = object(&package, &mut findings);
    let compiled = match engine.compile(&package.component) {
        Ok(compiled) => Some(compiled),
        Err(fault) => {
            findings.push(fixes::component_finding(&package, &fault));
            None
        }
    };
    // The manifest is checked against the object's maps: with a faulty object every view would look wrong.
    if let (Some(object), Some(compiled)) = (object, compiled) {
        check_manifest(&package, object.as_ref(), &compiled, taken, &mut findings);
    }
    findings
}

/// The object, if the package has one. `None`: it is faulty.
#[allow(clippy::option_option, reason = "a package without an object is sound")]
fn object(package: &Package, findings: &mut Vec<Finding>) -> Option<Option<ObjectFile>> {
    let Some(bpf) = &package.bpf else { return Some(None) };
    let place = bpf.object.path.display().to_string();
    match ObjectFile::parse(bpf) {
        Ok(object) => {
            let misfit =
                |fault: ObjectError| Finding::error("object", &place, fault, "make plugin.yaml and the object agree");
            findings.extend(object.misfits(bpf).into_iter().map(misfit));
            findings.extend(object.perf_misfits(&package.perf).into_iter().map(misfit));
            let license = object.check_license().err();
            findings.extend(license.map(|fault| Finding::error("object", &place, &fault, fixes::object_fix(&fault))));
            findings.extend(core_check::declarations(package).iter().map(without_core_finding));
            Some(Some(object))
        }
        Err(fault) => {
            findings.push(Finding::error("object", &place, &fault, fixes::object_fix(&fault)));
            None
        }
    }
}

/// Findings about the manifest, the names of families and the purity of decoding.
fn check_manifest(
    package: &Package,
    object: Option<&ObjectFile>,
    compiled: &Arc<CompiledComponent>,
    taken: &mut MetricNameRegistry,
    findings: &mut Vec<Finding>,
) {
    let describe = || Offline::describe(package, object, compiled.clone());
    let place = package.component.path.display().to_string();
    let (first, second) = match describe().and_then(|first| Ok((first, describe()?))) {
        Ok(both) => both,
        Err(fault) => {
            let mut finding = fixes::plugin_finding(&place, &fault);
            finding.message += &object.map_or_else(String::new, |object| named_types(object, &fault));
            return findings.push(finding);
        }
    };
    let schema = first.plugin.schema().clone();
    if schema != *second.plugin.schema() {
        let fix = "build the manifest from the config alone, in a fixed order";
        let message = "a second instance described itself otherwise than the first";
        findings.push(Finding::error("manifest", &place, message, fix));
    }
    if let Err(fault) = check_conflicts(package, &schema, taken) {
        let file = package.file.display().to_string();
        findings.push(Finding::error(
            "names",
            &file,
            fault,
            "choose another name; a family's is best begun with the package's",
        ));
    }
    for family in schema.families.iter().filter(|family| family.help.trim().is_empty()) {
        let message = format!("family `{}` has no help", family.name);
        findings.push(Finding::warning("manifest", &place, message, "say in one sentence what is counted"));
    }
    let hidden = |source: &&String| object.is_some_and(|object| object.hides_drops(source));
    let sources: BTreeSet<_> = schema.views.iter().map(|view| &view.source).filter(hidden).collect();
    for source in sources {
        let message =
            format!("what finds no room in the ring buffer `{source}` is not counted, and the kernel does not tell");
        let fix = format!("count it in a global, `u64 {source}_lost`, where reserving or writing fails");
        findings.push(Finding::warning("object", &place, message, &fix));
    }
    // A mistake without a choice is one with each choice.
    if findings.iter().all(is_warning) {
        let mut variants = variants::check(package, compiled);
        variants.add(&schema);
        findings.extend(variants.findings);
        findings.extend(unused_grants(package, &variants.lookup_tables));
        if let Ok(offer) = read_offer(&package.file, &Settings::default()) {
            let file = package.file.display().to_string();
            findings.extend(queries::unknown_families(&file, &offer.about, &variants.families));
        }
    }
    findings.extend(purity::check(package, first, second));
}

/// The lookup tables that a manifest names.
pub(super) fn lookup_tables(schema: &Schema) -> impl Iterator<Item = String> {
    schema.views.iter().flat_map(|view| &view.lookups).map(|lookup| lookup.table.clone())
}

/// Warnings about grants that no variant of the package uses.
fn unused_grants<'a>(package: &'a Package, used: &'a BTreeSet<String>) -> impl Iterator<Item = Finding> {
    let unused = package.grants.iter().filter(|grant| !used.contains(grant.name()));
    unused.map(|grant| {
        let (file, message) = (package.file.display().to_string(), format!("the grant `{}` is not used", grant.name()));
        Finding::warning("package", &file, message, "take it out of `grants`")
    })
}

fn stale_finding(stale: &Stale) -> Finding {
    let place = stale.artefact.display().to_string();
    Finding::warning("package", &place, stale.message(), "run the package's ./build.sh, and look at what it says")
}

/// A struct of the kernel that is read at offsets of the program's own.
fn without_core_finding(found: &WithoutCore) -> Finding {
    let WithoutCore { file, line, name, member } = found;
    let message = format!(
        "`struct {name}` is a part of the kernel's, and `{member}` is read at the offset that it has here: no CO-RE follows the running kernel"
    );
    let fix = "put `#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)` before the struct and \
               `#pragma clang attribute pop` behind it";
    Finding::warning("object", &format!("{}:{line}", file.display()), message, fix)
}

/// Behind a message about the size of a view's keys or values: the types that the program has for them.
fn named_types(object: &ObjectFile, fault: &PluginError) -> String {
    let text = fault.to_string();
    let is_about_size = matches!(fault, PluginError::Manifest { error, .. } if error.rule() == ManifestRule::Size);
    let map = object.maps.keys().find(|map| is_about_size && text.contains(&format!("(`{map}`)")));
    let Some([key, value]) = map.map(|map| object.type_names(map)) else { return String::new() };
    let named = |what: &str, ty: Option<String>| ty.map(|ty| format!("its {what} is `{ty}`"));
    let types: Vec<_> = [named("key", key), named("value", value)].into_iter().flatten().collect();
    if types.is_empty() { String::new() } else { format!("; in the program {}", types.join(" and ")) }
}

/// Findings about decoding a recording.
fn check_recording(folder: &Path, path: &Path, engine: &Engine) -> Vec<Finding> {
    let place = path.display().to_string();
    let played = super::read(folder).and_then(|package| {
        let recording = Recording::open(path)?;
        let played = replay::play(&package, &recording, path, engine)?;
        Ok((package, played))
    });
    let (package, played) = match played {
        Ok(played) => played,
        Err(fault) => return vec![Finding::error("decode", &place, fault, "record it again")],
    };
    let Played { offline: played, unrecorded } = played;
    let (tally, stats) = (played.plugin.tally(), played.table.stats());
    let mut findings = Vec::new();
    let fix = "record it again with `ebhost record`; in a recording made by hand add the lines `name`";
    findings.extend(unrecorded.map(|names| Finding::error("decode", &place, names, fix)));
    let fix = "for nanoseconds in a family of seconds use Family::latency, or `per: 1e9`; compare bounds and slots with the program's";
    findings.extend(plausible::implausible_sums(&played.table).map(|sum| Finding::warning("decode", &place, sum, fix)));
    for (reason, count) in &tally.failures {
        let message = format!("decode failed {count} times: {reason}");
        findings.push(Finding::error("decode", &place, message, "refuse what is not understood instead"));
    }
    if stats.refused > 0 {
        let message = format!("{} identities were refused as unknown", stats.refused);
        findings.push(Finding::warning(
            "decode",
            &place,
            message,
            "label them, or refuse them with `skip` if that is meant",
        ));
    }
    for usage in cost::usages(tally, stats.series, package.limits) {
        findings.extend(usage.near().map(|near| Finding::warning("limits", &place, near, usage.remedy)));
    }
    findings
}
