//! `ebhost tracepoint`: a tracepoint of this kernel, as the author of a program needs it.

use std::process::ExitCode;

use super::{AuthorError, command::TracepointArgs};
use ebhost_kernel::{Argument, ClassicTracepoint, Tracepoint, describe_tracepoint};

pub(super) fn tracepoint(args: &TracepointArgs) -> Result<ExitCode, AuthorError> {
    for (place, name) in args.names.iter().enumerate() {
        let separator = if place > 0 { "\n" } else { "" };
        print!("{separator}{}", text(&describe_tracepoint(name)?));
    }
    Ok(ExitCode::SUCCESS)
}

/// The lines to paste.
fn text(tracepoint: &Tracepoint) -> String {
    let mut out = String::new();
    if let Some(arguments) = &tracepoint.arguments {
        out += &typed(&tracepoint.name, arguments);
    }
    if let Some(classic) = &tracepoint.classic {
        out += &fields(&tracepoint.name, classic);
    }
    out
}

/// A program with typed arguments. Those that `ebhost/program.h` cannot pass are named in a comment.
fn typed(name: &str, arguments: &[Argument]) -> String {
    const MOST: usize = 6;
    let declared = |argument: &Argument| {
        let separator = if argument.ty.ends_with('*') { "" } else { " " };
        format!("{}{separator}{}", argument.ty, argument.name)
    };
    let structs = arguments.iter().filter_map(|argument| {
        let bare = argument.ty.trim_start_matches("const ").split('*').next().unwrap_or_default().trim();
        bare.starts_with("struct ").then(|| format!("{bare};\n"))
    });
    let mut seen: Vec<String> = Vec::new();
    structs.for_each(|line| {
        if !seen.contains(&line) {
            seen.push(line);
        }
    });
    let given: Vec<String> = arguments.iter().take(MOST).map(declared).collect();
    let given = if given.is_empty() { String::new() } else { format!(", {}", given.join(", ")) };
    let left_out: String = arguments
        .iter()
        .enumerate()
        .skip(MOST)
        .map(|(place, argument)| format!("\t// args[{place}]: {}\n", declared(argument)))
        .collect();
    format!(
        "// {name} with its arguments by type, for the programs tp_btf and raw_tp.\n#include \"ebhost/program.h\"\n\n{}\nTP_BTF({name}{given})\n{{\n{left_out}\treturn 0;\n}}\n",
        seen.concat()
    )
}

/// A struct of the fields in tracefs, and a program that gets it.
fn fields(name: &str, classic: &ClassicTracepoint) -> String {
    let (mut members, mut end) = (String::new(), 0u32);
    for field in classic.fields.iter().filter_map(|line| Field::parse(line)) {
        if field.offset > end {
            members += &format!("\tu8 unused_{end}[{}];\n", field.offset - end);
        }
        members += &format!("\t{}; // byte {}\n", field.declaration, field.offset);
        end = field.offset + field.size;
    }
    let category = &classic.category;
    format!(
        "\n// The same by the fields of tracefs, which take a few nanoseconds more.\nstruct {name}_fields {{\n{members}}} \
         __attribute__((packed));\n\nSEC(\"tracepoint/{category}/{name}\")\nint on_{name}(struct {name}_fields *fields)\n{{\n\treturn 0;\n}}\n"
    )
}

/// A field of a tracepoint.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    /// In C, with types that `bpf.h` has.
    declaration: String,
    offset: u32,
    size: u32,
}

impl Field {
    /// Parses a line such as `field:char comm[16]; offset:8; size:16; signed:0;`, which has tabs between its parts.
    fn parse(line: &str) -> Option<Self> {
        let mut parts = line.split(';').map(str::trim);
        let written = parts.next()?.strip_prefix("field:")?;
        let (mut offset, mut size, mut is_signed) = (None, None, false);
        for part in parts {
            match part.split_once(':') {
                Some(("offset", number)) => offset = number.parse().ok(),
                Some(("size", number)) => size = number.parse().ok(),
                Some(("signed", number)) => is_signed = number == "1",
                _ => {}
            }
        }
        let (offset, size) = (offset?, size?);
        Some(Self { declaration: declaration(written, size, is_signed)?, offset, size })
    }
}

/// A member of that size: numbers by their width, everything else as bytes.
fn declaration(written: &str, size: u32, is_signed: bool) -> Option<String> {
    let written = written.trim_start_matches("__data_loc ").trim_start_matches("__rel_loc ");
    let (before, array) = match written.split_once('[').and_then(|(before, rest)| Some((before, rest.split_once(']')?)))
    {
        // `char[] filename`: where the text is, and not the text.
        Some((_, (_, name))) if !name.trim().is_empty() => (name, None),
        Some((before, (count, _))) => (before, count.parse::<u32>().ok()),
        None => (written, None),
    };
    let name = before.trim().rsplit([' ', '*']).next().filter(|name| !name.is_empty())?;
    let number = |size: u32| match (size, is_signed) {
        (1, false) => Some("u8"),
        (2, false) => Some("u16"),
        (4, false) => Some("u32"),
        (8, false) => Some("u64"),
        (1, true) => Some("signed char"),
        (2, true) => Some("short"),
        (4, true) => Some("int"),
        (8, true) => Some("s64"),
        _ => None,
    };
    let is_text = before.trim_start().trim_start_matches("const ").starts_with("char");
    Some(match array.filter(|count| *count > 0 && size.is_multiple_of(*count)) {
        Some(count) if is_text && count == size => format!("char {name}[{count}]"),
        Some(count) => match number(size / count) {
            Some(ty) => format!("{ty} {name}[{count}]"),
            None => format!("u8 {name}[{size}]"),
        },
        None => number(size).map_or_else(|| format!("u8 {name}[{size}]"), |ty| format!("{ty} {name}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_members_at_their_offsets() {
        let field = |line: &str| Field::parse(line).map(|field| (field.declaration, field.offset, field.size));
        for (line, declaration, offset, size) in [
            ("field:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;", "u16 common_type", 0, 2),
            ("field:char prev_comm[16];\toffset:8;\tsize:16;\tsigned:0;", "char prev_comm[16]", 8, 16),
            ("field:__data_loc char[] filename;\toffset:8;\tsize:4;\tsigned:0;", "", 0, 0),
            ("field:const char * name;\toffset:24;\tsize:8;\tsigned:0;", "u64 name", 24, 8),
            ("field:pid_t pid;\toffset:24;\tsize:4;\tsigned:1;", "int pid", 24, 4),
            ("field:unsigned long args[6];\toffset:16;\tsize:48;\tsigned:0;", "u64 args[6]", 16, 48),
        ] {
            if declaration.is_empty() {
                assert_eq!(field(line).map(|(declaration, ..)| declaration), Some("u32 filename".to_owned()));
            } else {
                assert_eq!(field(line), Some((declaration.to_owned(), offset, size)), "{line}");
            }
        }
    }

    #[test]
    fn a_tracepoint_is_a_program_to_paste() {
        let argument = |ty: &str, name: &str| Argument { ty: ty.into(), name: name.into() };
        let arguments = vec![
            argument("bool", "preempt"),
            argument("struct task_struct *", "prev"),
            argument("struct task_struct *", "next"),
        ];
        let text = typed("sched_switch", &arguments);
        assert!(
            text.contains("TP_BTF(sched_switch, bool preempt, struct task_struct *prev, struct task_struct *next)\n{"),
            "{text}"
        );
        assert_eq!(text.matches("struct task_struct;\n").count(), 1);
        let classic = ClassicTracepoint {
            category: "sched".into(),
            fields: vec!["field:pid_t pid;\toffset:4;\tsize:4;\tsigned:1;".into()],
        };
        let text = fields("sched_x", &classic);
        assert!(text.contains("\tu8 unused_0[4];\n\tint pid; // byte 4\n"), "{text}");
        assert!(text.contains("SEC(\"tracepoint/sched/sched_x\")"), "{text}");
    }
}
