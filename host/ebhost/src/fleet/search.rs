//! `ebhost search`: the packages of a registry.

use std::process::ExitCode;

use super::{FleetError, SearchArgs, session};
use ebhost_registry::search as search_registry;

/// Prints a line for each package. The exit status is 1 if there is none.
pub(crate) fn search(args: &SearchArgs) -> Result<ExitCode, FleetError> {
    let (registry, prefix) = args.registry.split_once('/').unwrap_or((&args.registry, ""));
    let results = search_registry(&session(&args.connection)?, registry, prefix.trim_end_matches('/'))?;
    for package in &results.packages {
        let repository = &package.reference.repository;
        let tag = package.reference.tag.as_deref().unwrap_or_default();
        let version =
            package.version.as_deref().map_or_else(String::new, |version| format!("  {}", printable(version)));
        let description =
            package.description.as_deref().map_or_else(String::new, |text| format!("  {}", printable(text)));
        println!("{repository}:{tag}{version}{description}");
    }
    if results.others > 0 {
        println!("{} other artifacts are no packages of ebhost", results.others);
    }
    if results.is_cut {
        println!("there is more; name a path behind the registry");
    }
    Ok(if results.packages.is_empty() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// A registry's text for a terminal.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}
