//! The floors of ARCHITECTURE.md: no module imports one above it or beside it.

use std::{fs, path::Path};

/// From the bottom up. A module may use those of the floors below its own.
const FLOORS: [&[&str]; 8] = [
    &["limits", "privileges"],
    &["cgroups", "memory", "snapshot", "tables", "telemetry", "systemd"],
    &["series", "package"],
    &["exposition", "plugin", "kernel", "lookup"],
    &["server"],
    &["agent"],
    &["author"],
    &["main", "cli", "lib"],
];

fn floor(module: &str) -> usize {
    FLOORS.iter().position(|floor| floor.contains(&module)).unwrap_or_else(|| panic!("`{module}` stands on no floor"))
}

/// Every `crate::x` and `ebhost::x` of a source file, also inside `use crate::{a, b::c}`.
fn imports(source: &str) -> Vec<String> {
    let flat: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    for after in flat.split("crate::").skip(1) {
        match after.strip_prefix('{') {
            None => found.push(identifier(after)),
            Some(group) => {
                let (mut depth, mut starts) = (0, true);
                for (at, c) in group.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => starts = true,
                        c if starts && c.is_alphabetic() => {
                            found.push(identifier(&group[at..]));
                            starts = false;
                        }
                        _ => {}
                    }
                }
            }
        }
    }
    found
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn check(path: &Path, module: &str, wrong: &mut Vec<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            check(&entry.unwrap().path(), module, wrong);
        }
        return;
    }
    // Beside sources there are the templates of packages, one of them an object file.
    if path.extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    for import in imports(&fs::read_to_string(path).unwrap()) {
        if import != module && floor(&import) >= floor(module) {
            wrong.push(format!("{} uses `{import}`", path.display()));
        }
    }
}

#[test]
fn no_import_runs_up() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for entry in fs::read_dir(&source).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        floor(&module);
        check(&path, &module, &mut wrong);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn imports_are_found_in_groups() {
    let source = "use crate::{\n  a::{b, c},\n  d,\n};\nfn f() { crate::e::g() }\n// crate::not\n";
    assert_eq!(imports(source), ["a", "d", "e"]);
}
