//! Mutants that no test can notice, because they change nothing that can be seen, each with the reason.
//!
//! They are listed in `equivalent.txt`, by the change and the line of code: the line's number moves with every edit of the file.

use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

const LIST: &str = include_str!("equivalent.txt");

/// Where the list is, for errors.
const PATH: &str = "xtask/src/mutants/equivalent.txt";

/// The list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Equivalents(Vec<Equivalent>);

/// An entry of the list.
#[derive(Debug, PartialEq, Eq)]
struct Equivalent {
    /// The file below the root of the repository.
    file: String,
    /// As cargo-mutants says it, without its place.
    change: String,
    /// The line that is changed, without the spaces around it.
    code: String,
    reason: String,
}

impl Equivalents {
    /// The list of the present revision.
    ///
    /// # Errors
    /// An entry has no code or no reason.
    pub(super) fn read() -> Result<Self> {
        parse(LIST)
    }

    /// The reason why no test can notice a mutant of the sources in `tree`; none if it is not listed.
    pub(super) fn reason(&self, mutant: &str, tree: &Path) -> Option<&str> {
        let (file, line, change) = place_and_change(mutant)?;
        let mut listed = self.0.iter().filter(|listed| listed.file == file && listed.change == change).peekable();
        listed.peek()?;
        let text = fs::read_to_string(tree.join(file)).ok()?;
        let code = text.lines().nth(line.checked_sub(1)?)?.trim();
        listed.find(|listed| listed.code == code).map(|listed| listed.reason.as_str())
    }
}

/// The file, the line and the change in a mutant's name, `FILE:LINE:COLUMN: CHANGE`.
fn place_and_change(mutant: &str) -> Option<(&str, usize, &str)> {
    let (place, change) = mutant.split_once(": ")?;
    let mut parts = place.split(':');
    Some((parts.next()?, parts.next()?.parse().ok()?, change))
}

/// Entries are separated by empty lines; lines of comments begin with `#`.
fn parse(text: &str) -> Result<Equivalents> {
    let wrong = |entry: &str| Error::Format {
        path: PATH.into(),
        why: format!("found `{entry}`, expected `FILE: CHANGE`, the line of code, and the reason, on a line each"),
    };
    let lines: String = text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect();
    let entry = |entry: &str| {
        let mut lines = entry.lines();
        let (file, change) = lines.next().and_then(|first| first.split_once(": ")).ok_or_else(|| wrong(entry))?;
        let code = lines.next().map(str::trim).ok_or_else(|| wrong(entry))?;
        let reason = lines.map(str::trim).collect::<Vec<_>>().join(" ");
        let [file, change, code] = [file, change, code].map(str::to_owned);
        if reason.is_empty() { Err(wrong(entry)) } else { Ok(Equivalent { file, change, code, reason }) }
    };
    let entries = lines.split("\n\n").map(str::trim).filter(|part| !part.is_empty());
    entries.map(entry).collect::<Result<_>>().map(Equivalents)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::root;

    #[test]
    fn every_listed_change_is_in_a_line_of_its_file() {
        for Equivalent { file, code, change, .. } in Equivalents::read().unwrap().0 {
            let text = fs::read_to_string(root().join(&file)).unwrap();
            assert!(
                text.lines().any(|line| line.trim() == code),
                "{file} has no `{code}`: is `{change}` still equivalent?"
            );
        }
    }

    #[test]
    fn a_listed_mutant_is_known_wherever_its_line_is() {
        let list =
            parse("# A comment.\na.rs: replace < with <= in f\n    one < other\n    They differ,\n    always.\n")
                .unwrap();
        let tree = std::env::temp_dir().join(format!("ebhost-equivalent-{}", std::process::id()));
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("a.rs"), "fn f() {\n    one < other\n    one < another\n}\n").unwrap();
        let reason = |mutant: &str| list.reason(mutant, &tree).map(str::to_owned);
        let found =
            ["a.rs:2:9: replace < with <= in f", "a.rs:3:9: replace < with <= in f", "a.rs:2:9: replace < with > in f"]
                .map(reason);
        fs::remove_dir_all(&tree).unwrap();
        assert_eq!(found, [Some("They differ, always.".to_owned()), None, None]);
        assert!(parse("a.rs: change\n    code\n").is_err_and(|error| error.to_string().contains("the reason")));
    }
}
