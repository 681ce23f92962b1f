//! The settings in force, for the status page: every flag with its value, given or by default.

use std::ffi::OsString;

use clap::{ArgMatches, CommandFactory as _, parser::ValueSource};

use crate::cli::Cli;
use ebhost_server::Setting;

/// The settings of arguments that were parsed before, those that the settings file stands for included.
pub(super) fn in_force(args: &[OsString]) -> Vec<Setting> {
    let Ok(matches) = Cli::command().try_get_matches_from(args) else { return Vec::new() };
    let command = Cli::command();
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
    shown.filter_map(|arg| setting(&matches, arg.get_id().as_str(), arg.get_long()?)).collect()
}

/// A flag that has a value.
fn setting(matches: &ArgMatches, id: &str, long: &str) -> Option<Setting> {
    let values = matches.try_get_raw(id).ok()??;
    let values: Vec<_> = values.map(|value| value.to_string_lossy().into_owned()).collect();
    let is_default = matches.value_source(id) == Some(ValueSource::DefaultValue);
    Some(Setting { flag: format!("--{long}"), value: values.join(", "), is_default })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_shown_with_their_values_and_whether_they_were_given() {
        let args =
            ["ebhost", "--plugins", "/p", "--web.listen-address", ":1", "--web.listen-address", ":2", "--bpf.stats"];
        let settings = in_force(&args.map(OsString::from));
        let find = |flag: &str| {
            let found = settings.iter().find(|setting| setting.flag == flag);
            found.map(|setting| (setting.value.as_str(), setting.is_default))
        };
        assert_eq!(find("--plugins"), Some(("/p", false)));
        assert_eq!(find("--web.listen-address"), Some((":1, :2", false)));
        assert_eq!(find("--bpf.stats"), Some(("true", false)));
        assert_eq!(find("--reload"), Some(("watch", true)));
        assert_eq!(find("--config.dir"), None, "it has no value");
        assert_eq!(find("--no-debug"), None, "it is for command lines of another program");
    }
}
