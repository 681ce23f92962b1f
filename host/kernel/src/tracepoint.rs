//! A tracepoint for the author of a program: its arguments by type, from the kernel's BTF, and its fields, from tracefs.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{tracefs, types};
use ebhost_object::{
    Btf,
    btf::{Kind, Type},
};
use ebhost_package::did_you_mean;

/// The prefix of the types that the kernel declares for its tracepoints.
const PREFIX: &str = "btf_trace_";

/// A tracepoint of the running kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracepoint {
    pub name: String,
    /// The arguments of `tp_btf` and `raw_tp` programs, in order. None: the kernel shows no types of it.
    pub arguments: Option<Vec<Argument>>,
    /// Its form in tracefs. None: tracefs cannot be read, or does not have it.
    pub classic: Option<ClassicTracepoint>,
}

/// One argument of a tracepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// Its type in C, such as `struct task_struct *`.
    pub ty: String,
    /// Its name; of kernels whose types have none a made-up one.
    pub name: String,
}

/// A tracepoint as `tracepoint/CATEGORY/NAME` programs see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicTracepoint {
    pub category: String,
    /// The fields, as tracefs writes them: `field:pid_t pid; offset:24; size:4; signed:1;`, with tabs between the parts.
    pub fields: Vec<String>,
}

/// Why a tracepoint cannot be described.
#[derive(Debug, thiserror::Error)]
pub enum TracepointError {
    #[error("found no tracepoint `{name}` in this kernel, expected one of its {known}{meant}")]
    Unknown { name: String, known: usize, meant: String },
    #[error("neither the kernel's types (/sys/kernel/btf: {btf}) nor tracefs ({tracefs}) can be read")]
    Unreadable { btf: String, tracefs: String },
}

/// Describes a tracepoint, which may be given with its category: `sched_switch`, `sched:sched_switch`, `sched/sched_switch`.
///
/// # Errors
/// There is none of that name, or nothing tells of tracepoints.
pub fn describe_tracepoint(given: &str) -> Result<Tracepoint, TracepointError> {
    let (category, name) = match given.rsplit_once(['/', ':']) {
        Some((category, name)) => (Some(category.trim_start_matches("tp_btf").trim_start_matches("raw_tp")), name),
        None => (None, given),
    };
    let category = category.filter(|category| !category.is_empty());
    let kernel = types::read_kernel();
    let folder = tracefs::mount().map(|mount| mount.join("events"));
    let found = kernel.as_ref().ok().and_then(|kernel| arguments(kernel, name));
    let classic = folder.as_ref().ok().and_then(|events| classic(events, category, name));
    if found.is_some() || classic.is_some() {
        return Ok(Tracepoint { name: name.to_owned(), arguments: found, classic });
    }
    if let (Err(btf), Err(tracefs)) = (&kernel, &folder) {
        return Err(TracepointError::Unreadable { btf: btf.clone(), tracefs: tracefs.to_string() });
    }
    let mut known = kernel.as_ref().map(|kernel| names(kernel)).unwrap_or_default();
    known.extend(folder.iter().flat_map(|events| classic_names(events)));
    let meant = did_you_mean(name, known.iter().map(String::as_str));
    Err(TracepointError::Unknown { name: name.to_owned(), known: known.len(), meant })
}

/// The arguments behind the first, which is the kernel's own.
fn arguments(kernel: &Btf, name: &str) -> Option<Vec<Argument>> {
    let declared = kernel.get(kernel.find(&format!("{PREFIX}{name}"), Kind::Typedef)?)?;
    let pointer = kernel.get(declared.size_or_type)?;
    let prototype = kernel.get(pointer.size_or_type).filter(|ty| ty.kind == Kind::FuncProto)?;
    let named = kernel.param_names(prototype);
    // The prototype has no names; those of the function that calls the programs are the same ones.
    let caller = kernel.find(&format!("__traceiter_{name}"), Kind::Func);
    let caller = caller.and_then(|id| kernel.get(kernel.get(id)?.size_or_type)).map(|ty| kernel.param_names(ty));
    let argument = |(place, ty): (usize, u32)| {
        let own = [caller.as_ref(), Some(&named)].into_iter().flatten().filter_map(|names| names.get(place));
        let name = own.copied().find(|name| !name.is_empty()).map_or_else(|| format!("arg{place}"), str::to_owned);
        Argument { ty: c_type(kernel, ty, 0), name }
    };
    Some(kernel.params(prototype).into_iter().enumerate().skip(1).map(argument).collect())
}

/// Typedefs that `bpf.h` has.
const KNOWN: [&str; 6] = ["u8", "u16", "u32", "u64", "s64", "bool"];

/// A type in C, as a parameter has it; a typedef that programs do not have is what it stands for.
fn c_type(btf: &Btf, id: u32, depth: u32) -> String {
    let Some(ty) = btf.get(id).filter(|_| id != 0 && depth < 16) else { return "void".to_owned() };
    let name = btf.name(id);
    let inner = |ty: Type<'_>| c_type(btf, ty.size_or_type, depth + 1);
    match ty.kind {
        Kind::Ptr => {
            let pointed = inner(ty);
            if pointed.ends_with('*') { format!("{pointed}*") } else { format!("{pointed} *") }
        }
        Kind::Const => format!("const {}", inner(ty)),
        Kind::Volatile => format!("volatile {}", inner(ty)),
        Kind::Restrict | Kind::TypeTag => inner(ty),
        Kind::Struct => format!("struct {name}"),
        Kind::Union => format!("union {name}"),
        Kind::Fwd => format!("{} {name}", if ty.kind_flag() { "union" } else { "struct" }),
        Kind::Typedef if !KNOWN.contains(&name) => inner(ty),
        // A parameter of an enum takes its declaration.
        Kind::Enum => "int".to_owned(),
        Kind::Enum64 => "u64".to_owned(),
        Kind::FuncProto => "void".to_owned(),
        _ => name.to_owned(),
    }
}

/// Names of all tracepoints that the kernel declares types for.
fn names(kernel: &Btf) -> BTreeSet<String> {
    let typedefs = kernel.own_ids().filter(|id| kernel.kind(*id) == Kind::Typedef);
    typedefs.filter_map(|id| kernel.name(id).strip_prefix(PREFIX)).map(str::to_owned).collect()
}

fn classic_names(events: &Path) -> BTreeSet<String> {
    let folders = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let tracepoints = folders(events).flat_map(|category| folders(&category).collect::<Vec<_>>());
    let has_format = tracepoints.filter(|path| path.join("format").exists());
    has_format.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}

fn classic(events: &Path, category: Option<&str>, name: &str) -> Option<ClassicTracepoint> {
    let is_plain = |part: &str| !part.is_empty() && !part.contains(['/', '.']);
    let categories = match category {
        Some(category) => vec![category.to_owned()],
        None => {
            let entries = fs::read_dir(events).ok()?.flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        }
    };
    categories.into_iter().filter(|category| is_plain(category) && is_plain(name)).find_map(|category| {
        let text = fs::read_to_string(events.join(&category).join(name).join("format")).ok()?;
        let fields = text.lines().filter(|line| line.trim_start().starts_with("field:"));
        Some(ClassicTracepoint { fields: fields.map(|line| line.trim().to_owned()).collect(), category })
    })
}
