//! The first bytes of a file, which tell a component from what is often taken for one.

use std::path::Path;

use super::ComponentError;

/// Checks that the file begins as a component does.
pub(super) fn check(path: &Path, bytes: &[u8]) -> Result<(), ComponentError> {
    let not_wasm = |found: String| Err(ComponentError::NotWasm { path: path.to_owned(), found });
    match bytes {
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(ComponentError::CoreModule { path: path.to_owned() }),
        [0, b'a', b's', b'm', ..] => Ok(()),
        [] => not_wasm("an empty file".to_owned()),
        [0x7f, b'E', b'L', b'F', ..] => not_wasm("an ELF file (a precompiled component?)".to_owned()),
        first => {
            let shown: Vec<_> = first.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            not_wasm(format!("a file that begins with {}", shown.join(" ")))
        }
    }
}
