//! The command line and the settings file together: a setting stands in the place of a flag that was not given.

use std::{ffi::OsString, path::PathBuf};

use clap::{
    ArgAction, ArgMatches, Command, CommandFactory as _, Parser as _,
    error::{ContextKind, ContextValue, ErrorKind},
    parser::ValueSource,
};

use crate::cli::Cli;
use ebhost_package::{Diagnostic, FlagSetting, PackageError, Settings, truth};

/// Flags that make no sense in a file.
const COMMAND_LINE_ONLY: [&str; 7] = ["config.file", "set", "config.check", "completions", "man", "help", "version"];

/// Why the command line, or the settings, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CommandLineError {
    /// Also a request for help or the version.
    #[error(transparent)]
    Arguments(#[from] clap::Error),
    #[error("{0}")]
    Setting(Diagnostic),
    #[error(transparent)]
    Settings(#[from] PackageError),
}

/// Parses the arguments, the first of which is the program's name, with the settings file that they name.
///
/// # Errors
/// A mistake in the arguments; a settings file that cannot be read, or has a mistake.
pub fn parse(arguments: Vec<OsString>) -> Result<Cli, CommandLineError> {
    let first = Cli::try_parse_from(&arguments);
    match &first {
        // Commands, and requests for a document, do not depend on settings.
        Ok(cli) if cli.command.is_some() || cli.completions.is_some() || cli.man => return Ok(first?),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => return Ok(first?),
        // A missing flag may be in the file.
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => return Ok(first?),
        _ => {}
    }
    let command = Cli::command();
    let given = command.clone().ignore_errors(true).get_matches_from(&arguments);
    let settings = settings(&given)?;
    let mut whole: Vec<OsString> = arguments.first().cloned().into_iter().collect();
    for flag in settings.flags() {
        whole.extend(tokens(&command, flag, &given).map_err(CommandLineError::Setting)?);
    }
    whole.extend(arguments.into_iter().skip(1));
    let mut cli = Cli::try_parse_from(&whole).map_err(|error| at_its_setting(error, settings.flags()))?;
    (cli.settings, cli.arguments) = (settings, whole);
    Ok(cli)
}

fn settings(given: &ArgMatches) -> Result<Settings, PackageError> {
    let named = given.get_one::<PathBuf>("settings_file").cloned();
    let assignments = given.get_many::<String>("assignments").into_iter().flatten().cloned().collect();
    Settings::read(named, assignments)
}

/// The arguments that a setting stands for; none if the command line has the flag.
fn tokens(command: &Command, flag: &FlagSetting, given: &ArgMatches) -> Result<Vec<OsString>, Diagnostic> {
    let name = flag.name.as_str();
    let settable = |argument: &&clap::Arg| {
        let long = argument.get_long().is_some_and(|long| long == name && long != "plugins");
        let is_alias = argument.get_all_aliases().is_some_and(|aliases| aliases.contains(&name));
        (long || is_alias) && !COMMAND_LINE_ONLY.contains(&name)
    };
    let Some(argument) = command.get_arguments().find(settable) else {
        return Err(flag.setting.fault(format!("found `{name}`, expected {}", keys(command))));
    };
    let texts = flag.setting.texts()?;
    if given.value_source(argument.get_id().as_str()) == Some(ValueSource::CommandLine) {
        return Ok(Vec::new());
    }
    if !matches!(argument.get_action(), ArgAction::SetTrue) {
        return Ok(texts.into_iter().map(|text| format!("--{name}={text}").into()).collect());
    }
    let text = texts.first().map(String::as_str).unwrap_or_default();
    match truth(text) {
        Some(true) => Ok(vec![format!("--{name}").into()]),
        Some(false) => Ok(Vec::new()),
        None => Err(flag.setting.fault(format!("found `{text}`, expected true or false"))),
    }
}

/// Every key that a settings file can have.
fn keys(command: &Command) -> String {
    let long = |argument: &clap::Arg| {
        let alias = argument.get_visible_aliases().and_then(|aliases| aliases.first().copied());
        alias.or(argument.get_long()).map(str::to_owned)
    };
    let flags = command.get_arguments().filter(|argument| !argument.is_hide_set()).filter_map(long);
    let flags = flags.filter(|name| !COMMAND_LINE_ONLY.contains(&name.as_str())).collect::<Vec<_>>().join(", ");
    format!("plugins, limits, or the name of a flag: {flags}")
}

/// The error at the line of the setting that is wrong, if it is one.
fn at_its_setting(error: clap::Error, flags: &[FlagSetting]) -> CommandLineError {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error.into() };
    let named = argument.trim_start_matches('-').split([' ', '=']).next().unwrap_or_default();
    match flags.iter().find(|flag| flag.name == named) {
        Some(flag) => {
            let text = error.to_string();
            let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            CommandLineError::Setting(flag.setting.fault(message))
        }
        None => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;
    use crate::cli::{LogLevel, ReloadWhen};

    /// Parses with a settings file of that text.
    fn parsed(name: &str, text: &str, arguments: &str) -> Result<Cli, String> {
        let file = Path::new("/dev/shm").join(format!("ebhost-settings-{}-{name}.yaml", std::process::id()));
        fs::write(&file, text).unwrap();
        let line = format!("ebhost --config.file {} {arguments}", file.display());
        let cli = parse(line.split_whitespace().map(OsString::from).collect());
        fs::remove_file(&file).unwrap();
        cli.map_err(|error| error.to_string().replace(&file.display().to_string(), "ebhost.yaml"))
    }

    #[test]
    fn a_setting_stands_for_a_flag_and_the_flag_takes_precedence() {
        let text =
            "plugin.dir: /p\nlog: { level: debug }\nreload: signal\nstrict: on\nweb.listen-address: [':1', ':2']\n";
        let cli = parsed("flags", text, "").unwrap();
        assert_eq!((cli.log_level(), cli.reload, cli.is_strict()), (LogLevel::Debug, ReloadWhen::Signal, true));
        assert_eq!((cli.places().plugins.as_deref(), cli.listen_addresses.len()), (Some(Path::new("/p")), 2));
        let cli = parsed("both", text, "--plugins /q --log.level error --web.listen-address :3").unwrap();
        assert_eq!((cli.log_level(), cli.listen_addresses.len()), (LogLevel::Error, 1));
        assert_eq!(cli.places().plugins.as_deref(), Some(Path::new("/q")));
    }

    #[test]
    fn mistakes_in_settings_are_at_their_line() {
        for (text, expected) in [
            (
                "plugin.dir: p\nlog.levle: debug\n",
                "ebhost.yaml:2:1: found `log.levle`, expected plugins, limits, or the name of a flag: plugin.dir,",
            ),
            ("plugin.dir: p\nlog.level: loud\n", "ebhost.yaml:2:1: invalid value 'loud' for '--log.level <LEVEL>'"),
            ("plugin.dir: p\nstrict: maybe\n", "ebhost.yaml:2:1: found `maybe`, expected true or false"),
            ("plugin.dir: p\nman: true\n", "ebhost.yaml:2:1: found `man`, expected plugins"),
            ("plugin.dir: p\nmetrics: {}\n", "found a configuration of ebpf_exporter"),
        ] {
            let message = parsed("mistakes", text, "").unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn packages_are_needed_on_one_of_the_two() {
        assert!(parsed("none", "log.level: debug\n", "").unwrap_err().contains("--plugins <DIR>"));
        let cli = parsed("set", "plugins: { a: off }\n", "--plugins p --set plugins.a.x=1").unwrap();
        assert_eq!(cli.settings.package_names().collect::<Vec<_>>(), ["a"]);
        let message = parsed("unset", "", "--plugins p --set plugins.a").unwrap_err();
        assert!(message.starts_with("--set plugins.a: found no `=`"), "{message}");
    }
}
