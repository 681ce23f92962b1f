//! The password of an encrypted private key, from where cosign takes it: `$COSIGN_PASSWORD`, else a terminal, else standard input to its end.

use std::{
    env,
    fs::File,
    io::{self, IsTerminal as _, Read as _, Write as _},
    os::unix::ffi::OsStringExt as _,
};

use termion::{input::TermRead as _, raw::IntoRawMode as _};

use ebhost_limits as limits;

/// Reads the password.
///
/// # Errors
/// Nobody typed one, or standard input cannot be read.
pub(super) fn read() -> io::Result<Vec<u8>> {
    if let Some(password) = env::var_os("COSIGN_PASSWORD") {
        return Ok(password.into_vec());
    }
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return typed();
    }
    // With the end of the line, if there is one: cosign encrypts with it, too.
    let mut password = Vec::new();
    stdin.take(limits::REGISTRY_FILE_BYTES).read_to_end(&mut password)?;
    Ok(password)
}

/// A line from the terminal, which does not show it. Neither standard output, which is the reference of what was pushed, nor standard error has to be one.
fn typed() -> io::Result<Vec<u8>> {
    let mut typed = File::options().read(true).write(true).open("/dev/tty")?;
    let mut screen = typed.try_clone()?.into_raw_mode()?;
    write!(screen, "Password of the private key: ")?;
    let password = typed.read_line();
    write!(screen, "\r\n")?;
    let nobody = || io::Error::new(io::ErrorKind::UnexpectedEof, "nothing was typed");
    password?.map(String::into_bytes).ok_or_else(nobody)
}
