//! Log lines for the operator. They appear in the host's log under the package's name; the host limits their rate, and their length to
//! 1 KiB. They have no influence on any metric. In native tests they go to standard error.

use core::fmt::Display;

use crate::bindings::ebhost::plugin::log::Level;

/// Logs an error: something that was configured cannot be done. The host shows it by default.
pub fn error(message: impl Display) {
    write(Level::Error, &message.to_string());
}

/// Logs a warning: the configuration is valid but probably a mistake. The host shows it by default.
pub fn warn(message: impl Display) {
    write(Level::Warn, &message.to_string());
}

/// Logs information, such as a choice that the plugin made at the start. The host shows it by default.
pub fn info(message: impl Display) {
    write(Level::Info, &message.to_string());
}

/// Logs a message for the plugin's author. The host hides it by default.
pub fn debug(message: impl Display) {
    write(Level::Debug, &message.to_string());
}

/// Installs a panic hook that logs the panic's message. A panic traps, and the host reports the last logged line as the reason of a trap.
pub(crate) fn log_panics() {
    #[cfg(target_family = "wasm")]
    std::panic::set_hook(Box::new(|panic| error(panic)));
}

#[cfg(target_family = "wasm")]
fn write(level: Level, message: &str) {
    crate::bindings::ebhost::plugin::log::write(level, message);
}

#[cfg(not(target_family = "wasm"))]
fn write(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}
