//! Lines for the operator. They have no influence on any metric, and the host limits their rate and length (1 KiB).
//! Natively, as in tests, they go to standard error.

use core::fmt::Display;

use crate::bindings::ebhost::plugin::log::Level;

/// Something that was asked for cannot be given. Shown by default.
pub fn error(message: impl Display) {
    write(Level::Error, &message.to_string());
}

/// What was given may not be what was meant. Shown by default.
pub fn warn(message: impl Display) {
    write(Level::Warn, &message.to_string());
}

/// What was chosen, once.
pub fn info(message: impl Display) {
    write(Level::Info, &message.to_string());
}

/// For the plugin's author.
pub fn debug(message: impl Display) {
    write(Level::Debug, &message.to_string());
}

/// A panic becomes a trap, of which the host reports the last line as the reason: so a panic says its own.
pub(crate) fn panics_too() {
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
