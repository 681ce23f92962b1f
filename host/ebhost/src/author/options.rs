//! `ebhost options`: the packages of a folder with their options, defaults and chosen values, and what they take beyond CAP_BPF and CAP_PERFMON.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde_json::{Value, json};

use super::{
    AuthorError,
    command::{OptionsArgs, OutputFormat},
};
use ebhost_confine::privileges::{Feature, Privilege};
use ebhost_package::{Offer, OptionKind, Package, PackageFolders, Settings, Switch, read_offer};

/// Where packages are looked for if neither the command line nor the settings name a folder.
const PLUGINS: &str = "/usr/lib/ebhost/plugins";

pub(super) fn options(args: &OptionsArgs) -> Result<ExitCode, AuthorError> {
    let settings = Settings::read(args.settings_file.clone(), Vec::new())?;
    let folder = args.plugins.clone().or_else(|| folder_of(&settings)).unwrap_or_else(|| PLUGINS.into());
    let offers = read_offers(&folder, &settings)?;
    let wanted = |listed: &&Listed| args.packages.is_empty() || args.packages.contains(&listed.offer.name);
    let chosen: Vec<&Listed> = offers.iter().filter(wanted).collect();
    if let Some(name) = args.packages.iter().find(|name| !offers.iter().any(|listed| listed.offer.name == **name)) {
        let known = offers.iter().map(|listed| listed.offer.name.as_str()).collect::<Vec<_>>().join(", ");
        return Err(AuthorError::UnknownPackage { name: name.clone(), folder, known });
    }
    match args.format {
        OutputFormat::Text => print!("{}", chosen.iter().map(|listed| text(listed)).collect::<Vec<_>>().join("\n")),
        OutputFormat::Json => println!("{}", chosen.iter().map(|listed| as_json(listed)).collect::<Value>()),
    }
    let is_sound = chosen.iter().all(|listed| listed.offer.choices.is_ok());
    Ok(if is_sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn folder_of(settings: &Settings) -> Option<PathBuf> {
    let flag = settings.flags().iter().find(|flag| flag.name == "plugin.dir")?;
    Some(flag.setting.texts().ok()?.first()?.into())
}

/// A package with the privileges that it takes as it is chosen; none if it cannot be loaded at all.
struct Listed {
    offer: Offer,
    privileges: Vec<&'static Privilege>,
}

fn read_offers(folder: &Path, settings: &Settings) -> Result<Vec<Listed>, AuthorError> {
    let listing = PackageFolders { plugins: Some(folder.to_owned()), drop_ins: None }.list_at_start()?;
    let listed = |file: &PathBuf| {
        let privileges = privileges(file, settings);
        read_offer(file, settings).map(|offer| Listed { offer, privileges })
    };
    Ok(listing.files.iter().map(listed).collect::<Result<_, _>>()?)
}

fn privileges(file: &Path, settings: &Settings) -> Vec<&'static Privilege> {
    let features = Package::read(file, settings).ok().and_then(|package| ebhost_kernel::features(&package).ok());
    features.unwrap_or_default().into_iter().map(Feature::privilege).collect()
}

pub(super) fn switch(switch: Switch) -> &'static str {
    match switch {
        Switch::On => "on",
        Switch::Off => "off",
    }
}

/// A value as a settings file has it.
pub(super) fn shown(kind: &OptionKind, value: &Value) -> String {
    match (kind, value) {
        (OptionKind::Time, value) => {
            let nanoseconds = value.as_u64().unwrap_or_default();
            match nanoseconds {
                whole if whole % 1_000_000_000 == 0 => format!("{}s", whole / 1_000_000_000),
                whole if whole % 1_000_000 == 0 => format!("{}ms", whole / 1_000_000),
                whole => format!("{}us", whole / 1_000),
            }
        }
        (_, Value::String(text)) => text.clone(),
        (_, Value::Array(items)) => {
            format!("[{}]", items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
        }
        (_, value) => value.to_string(),
    }
}

fn text(Listed { offer, privileges }: &Listed) -> String {
    let mut out = format!("{}: {}", offer.name, switch(offer.switch));
    if offer.switch != offer.default {
        let _ = write!(out, " (default {})", switch(offer.default)); // writing into a string does not fail
    }
    let _ = writeln!(out, "{}{}", if offer.about.summary.is_empty() { "" } else { "; " }, offer.about.summary);
    for privilege in privileges {
        let _ = writeln!(out, "  takes {}", privilege.line());
    }
    for (name, option) in &offer.options {
        let default = shown(&option.kind, &option.default);
        let chosen = offer.choices.as_ref().ok().and_then(|choices| choices.get(name));
        let value = chosen.map_or_else(|| default.clone(), |value| shown(&option.kind, value));
        let kind = match &option.kind {
            OptionKind::Enum(values) => values.join("|"),
            kind => kind.name().to_owned(),
        };
        let note = if value == default { String::new() } else { format!(" (default {default})") };
        let _ = writeln!(out, "  {name}: {value}{note}  [{kind}]\n      {}", option.help.trim());
        if !option.cost.is_empty() {
            let _ = writeln!(out, "      Cost: {}", option.cost.trim());
        }
    }
    if let Err(fault) = &offer.choices {
        let _ = writeln!(out, "  the settings are refused: {fault}");
    }
    out
}

fn as_json(Listed { offer, privileges }: &Listed) -> Value {
    let privileges = privileges.iter().map(|privilege| {
        json!({ "capability": privilege.capability_name(), "for": privilege.name, "otherwise": privilege.otherwise })
    });
    let options = offer.options.iter().map(|(name, option)| {
        let chosen = offer.choices.as_ref().ok().and_then(|choices| choices.get(name)).cloned();
        json!({
            "name": name, "type": option.kind.name(), "expected": option.kind.expected(), "default": option.default,
            "value": chosen, "help": option.help, "cost": option.cost,
        })
    });
    json!({
        "package": offer.name, "summary": offer.about.summary, "requires": offer.about.requires, "cost": offer.about.cost, "queries": offer.about.queries,
        "privileges": privileges.collect::<Value>(), "default": switch(offer.default), "state": switch(offer.switch),
        "options": options.collect::<Value>(), "error": offer.choices.as_ref().err().map(ToString::to_string),
    })
}
