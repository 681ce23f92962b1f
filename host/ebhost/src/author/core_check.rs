//! Structs of the kernel that a program's source declares without CO-RE: it reads them at the offsets of its own reduced copy.
//!
//! Such a program loads and reads other members. The object says nothing of it: without CO-RE the struct is not among its types. So the
//! source is looked at, where the package has it; macros are not expanded, and what looks otherwise is passed over.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use ebhost_kernel::KernelStructs;
use ebhost_package::Package;

/// A declaration of a struct that is a part of the kernel's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WithoutCore {
    pub(super) file: PathBuf,
    pub(super) line: usize,
    pub(super) name: String,
    /// A member that the source reads.
    pub(super) member: String,
}

/// The declarations without CO-RE in a package's sources.
pub(super) fn declarations(package: &Package) -> Vec<WithoutCore> {
    let folder = package.file.parent().unwrap_or(Path::new("."));
    let files: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    let is_source = |path: &&PathBuf| path.to_str().is_some_and(|path| path.ends_with(".bpf.c"));
    if !files.iter().any(|path| is_source(&path)) {
        return Vec::new();
    }
    let is_header = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "h");
    let texts: Vec<(PathBuf, String)> = files
        .iter()
        .filter(|path| is_source(path) || is_header(path))
        .filter_map(|path| Some((path.clone(), without_comments(&fs::read_to_string(path).ok()?))))
        .collect();
    let Some(kernel) = KernelStructs::read() else { return Vec::new() };
    let reads = |member: &str| texts.iter().any(|(_, text)| reads(text, member));
    let suspects = texts.iter().flat_map(|(file, text)| structs(text).into_iter().map(move |found| (file, found)));
    suspects
        .filter(|(_, found)| !found.has_core)
        .filter_map(|(file, found)| {
            let there = kernel.members(&found.name)?;
            // A whole copy has the kernel's offsets; a struct with other members is the program's own.
            let is_part = found.members.is_subset(&there) && found.members.len() < there.len();
            let member = found.members.iter().find(|member| is_part && reads(member))?.clone();
            Some(WithoutCore { file: file.clone(), line: found.line, name: found.name, member })
        })
        .collect()
}

/// A declaration of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Declared {
    line: usize,
    name: String,
    members: BTreeSet<String>,
    has_core: bool,
}

/// The text with blanks in the place of comments, so that lines keep their numbers.
fn without_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("//").into_iter().chain(rest.find("/*")).min() {
        out.push_str(&rest[..at]);
        let end = if rest[at..].starts_with("//") {
            rest[at..].find('\n').map_or(rest.len(), |length| at + length)
        } else {
            rest[at..].find("*/").map_or(rest.len(), |length| at + length + 2)
        };
        out.extend(rest[at..end].chars().filter(|c| *c == '\n'));
        rest = &rest[end..];
    }
    out + rest
}

/// The structs that a source declares with members.
fn structs(text: &str) -> Vec<Declared> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("struct ") {
        let rest = &text[at + "struct ".len()..];
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let Some(body) = rest[name.len()..].trim_start().strip_prefix('{').filter(|_| !name.is_empty()) else {
            continue;
        };
        let Some(length) = end_of_block(body) else { continue };
        let behind = body[length + 1..].split(';').next().unwrap_or_default();
        let before = &text[..at];
        let pushed =
            before.rfind("clang attribute push").filter(|push| before[*push..].lines().next().is_some_and(is_core));
        let is_pushed = pushed.is_some_and(|push| !before[push..].contains("clang attribute pop"));
        found.push(Declared {
            line: before.matches('\n').count() + 1,
            members: members(&body[..length]),
            has_core: is_pushed || is_core(behind) || is_core(&rest[..rest.len() - body.len()]) || name.contains("___"),
            name,
        });
    }
    found
}

fn is_core(text: &str) -> bool {
    text.contains("preserve_access_index")
}

/// Where the block ends that `text` is in.
fn end_of_block(text: &str) -> Option<usize> {
    let mut depth = 1;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// Names of the members, those of structs and unions within included.
fn members(body: &str) -> BTreeSet<String> {
    let declared =
        body.split([';', '{', '}']).map(|declaration| declaration.split(['[', ':']).next().unwrap_or_default());
    let name = |declaration: &str| {
        let words: Vec<_> = declaration
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .collect();
        // `struct` and `union` alone begin an anonymous one.
        words.last().filter(|_| words.len() > 1).map(|name| (*name).to_owned())
    };
    declared.filter_map(name).collect()
}

/// Whether a source reads a member through a pointer.
fn reads(text: &str, member: &str) -> bool {
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    text.split("->").skip(1).any(|access| access.trim_start().strip_prefix(member).is_some_and(is_end))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "// struct no { int a; };
struct task_struct {
\tint pid; /* of the thread */
\tstruct { u64 start[2], other; };
\tunsigned flag : 1;
};
#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct request { struct gendisk *q; };
#pragma clang attribute pop
struct key { u32 a; };
struct bio { int x; } __attribute__((preserve_access_index));
struct task_struct *use(struct task_struct *task) { return task->pid; }
";

    #[test]
    fn declarations_have_their_members_and_whether_core_follows_the_kernel() {
        let found = structs(&without_comments(SOURCE));
        let shown: Vec<_> = found.iter().map(|found| (found.line, found.name.as_str(), found.has_core)).collect();
        assert_eq!(shown, [(2, "task_struct", false), (8, "request", true), (10, "key", false), (11, "bio", true)]);
        let members: Vec<_> = found[0].members.iter().map(String::as_str).collect();
        assert_eq!(members, ["flag", "pid", "start"]);
    }

    #[test]
    fn a_member_is_read_by_its_whole_name() {
        assert!(reads("if (task->pid) x", "pid") && reads("a->b -> pid = 1", "pid"));
        assert!(!reads("task->pid_ns", "pid") && !reads("own.pid", "pid"));
    }
}
