//! `ebhost new`: creates a complete package in a new folder.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use super::{
    AuthorError,
    command::{Language, NewArgs, Pattern},
    template,
};

/// Why no package was created.
#[derive(Debug, thiserror::Error)]
pub(super) enum NewError {
    #[error(
        "found the name `{0}`, expected lower-case letters, digits and `_`, beginning with a letter, such as forks"
    )]
    Name(String),
    #[error("{path}: is there already; choose another name, or remove it")]
    Exists { path: PathBuf },
    #[error(
        "found the pattern `{pattern:?}` with another language than Rust, expected `--from counter`, or `--lang rust`"
    )]
    Pattern { pattern: Pattern },
    #[error("{path}: cannot be written: {source}")]
    Unwritable { path: PathBuf, source: io::Error },
}

pub(super) fn new(args: &NewArgs) -> Result<ExitCode, AuthorError> {
    let name = &args.name;
    let is_name = name.len() <= 40
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !is_name {
        return Err(NewError::Name(name.clone()).into());
    }
    let folder = Path::new(name);
    if folder.exists() {
        return Err(NewError::Exists { path: folder.to_owned() }.into());
    }
    if args.lang != Language::Rust && args.from != Pattern::Counter {
        return Err(NewError::Pattern { pattern: args.from }.into());
    }
    for file in template::files(args.lang, args.from) {
        write(folder, name, &file)?;
    }
    let next = match args.lang {
        Language::Rust => "cargo and clang",
        Language::C => "clang with its linker, wasi-libc and wasm-component-ld",
        Language::Javascript => "clang, node and npm",
        Language::Python => "clang and python3",
    };
    println!("{name}: created; start with its README.md\n  cd {name} && ./build.sh && ./test.sh    ({next})");
    Ok(ExitCode::SUCCESS)
}

fn write(folder: &Path, name: &str, file: &template::File) -> Result<(), NewError> {
    let path = folder.join(file.path.replace(template::NAME, name));
    let written = || {
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        match std::str::from_utf8(file.content) {
            Ok(text) if !file.names.is_empty() => {
                let named =
                    file.names.iter().fold(text.to_owned(), |text, placeholder| text.replace(placeholder, name));
                fs::write(&path, named)?;
            }
            _ => fs::write(&path, file.content)?,
        }
        if path.extension().is_some_and(|extension| extension == "sh") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    };
    written().map_err(|source| NewError::Unwritable { path: path.clone(), source })
}
