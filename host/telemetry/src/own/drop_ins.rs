//! Metrics of drop-in configurations under the names that people alert on: those of ebpf_exporter.
//!
//! Nothing is measured for them: they are the report under other names, and have series only when there are such configurations.

use std::{env::consts, fmt};

use super::{
    PackageReport, ProgramReport, Report,
    families::{Families, counter, gauge},
};

/// The version, if there are drop-in configurations.
pub(super) fn build_info(families: &mut Families<'_, '_>, report: &Report) -> fmt::Result {
    let labels = [
        ("version", report.build.version),
        ("revision", report.build.revision),
        ("goos", consts::OS),
        ("goarch", arch()),
    ];
    let has_any = report.packages.iter().any(|package| package.is_drop_in);
    families.numbers(gauge("build_info", "The running version, of ebhost."), has_any.then_some((labels, true)))
}

/// The configurations among the packages.
pub(super) fn configurations(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || packages.iter().filter(|package| package.is_drop_in);
    let running = all().filter(|package| package.fault.is_empty());
    let enabled = running.map(|package| ([("name", package.name.as_str())], true));
    families.numbers(gauge("enabled_configs", "The configurations that are loaded."), enabled)?;
    let errors = all().map(|package| {
        let rejected = package.dropped.iter().map(|(_, count)| count).sum::<u64>();
        ([("config", package.name.as_str())], rejected)
    });
    families.numbers(counter("decoder_errors", "Keys that a decoder rejected, each counted once."), errors)
}

/// The programs of the configurations among the packages.
pub(super) fn programs(families: &mut Families<'_, '_>, packages: &[&PackageReport]) -> fmt::Result {
    let all = || {
        let drop_ins = packages.iter().filter(|package| package.is_drop_in);
        drop_ins.flat_map(|package| package.programs.iter().map(move |program| (*package, program)))
    };
    let ids: Vec<_> = all().map(|(package, program)| id(package, program)).collect();
    let info = all().zip(&ids).map(|((package, program), id)| {
        let (config, name, tag) = (package.name.as_str(), program.name.as_str(), program.tag.as_str());
        ([("config", config), ("program", name), ("tag", tag), ("id", id.as_str())], true)
    });
    families.numbers(gauge("ebpf_program_info", "The kernel's number of a program, and its digest."), info)?;
    let by_id = || all().zip(&ids).map(|((_, program), id)| ([("id", id.as_str())], program));
    let attached = by_id().map(|(labels, program)| (labels, program.reason.is_empty()));
    let help = "1 for an attached program, 0 for one that is left out.";
    families.numbers(gauge("ebpf_program_attached", help), attached)?;
    // ebpf_exporter leaves these out while nothing is measured.
    let measured = || {
        let all = all().zip(&ids).filter(|((package, _), _)| package.runs_are_measured);
        all.map(|((_, program), id)| ([("id", id.as_str())], program))
    };
    let help = "Time that the program ran, while kernel.bpf_stats_enabled is on.";
    let seconds = measured().map(|(labels, program)| (labels, program.run_seconds));
    families.numbers(gauge("ebpf_program_run_time", help).seconds(), seconds)?;
    let help = "Runs of the program, while kernel.bpf_stats_enabled is on.";
    families
        .numbers(counter("ebpf_program_run_count", help), measured().map(|(labels, program)| (labels, program.runs)))
}

/// A program that was never loaded has no number of the kernel's, so it gets an id made of its names.
fn id(package: &PackageReport, program: &ProgramReport) -> String {
    match program.id {
        0 => format!("{}/{}", package.name, program.name),
        id => id.to_string(),
    }
}

/// The architecture as Go calls it.
fn arch() -> &'static str {
    match consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
