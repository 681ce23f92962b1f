//! Fits an object to the running kernel: externs, globals, BTF that this kernel accepts, CO-RE relocations.

use std::{
    collections::{HashMap, HashSet},
    path::Path,
};

use aya::Btf;

use super::globals::Globals;
use crate::{
    KernelContext, LoadError,
    object::{self, chain},
    relocate::{Externs, PrepareError, Prepared, prepare, section_index},
};
use ebhost_package::{Bpf, FailureCost};

/// A parsed object with everything relocated but maps and calls.
pub(super) struct Fitted {
    pub(super) parsed: aya_obj::Object,
    /// The object's BTF, reduced to what this kernel accepts.
    pub(super) own_btf: Option<Vec<u8>>,
    /// Sections with CO-RE relocations that this kernel's types do not answer, by index, and why.
    pub(super) misfits: HashMap<usize, String>,
    /// Kernel symbols that programs refer to and this kernel does not have.
    pub(super) unresolved: Vec<String>,
}

impl Fitted {
    /// Fits an object. If failures cost a program alone, a section whose relocations fail is left out and the rest fitted again.
    ///
    /// # Errors
    /// The object does not parse, needs configuration values that are not known, or CO-RE fails.
    pub(super) fn new(bpf: &Bpf, context: &KernelContext, globals: &Globals) -> Result<Self, LoadError> {
        let path = &bpf.object.path;
        let external = external_btf(bpf)?;
        let mut externs = Externs::new(context.btf());
        let mut misfits = HashMap::new();
        loop {
            let without_core: HashSet<_> = misfits.keys().copied().collect();
            let Prepared { bytes, unresolved } = prepare(&bpf.object.bytes, Some(&mut externs), &without_core)
                .map_err(|error| not_prepared(path, error))?;
            let mut parsed = object::parse(&bytes).map_err(|error| LoadError::refused(path, &error))?;
            set_globals(&mut parsed, globals).map_err(|error| LoadError::refused(path, &error))?;
            let own_btf = match aya::features().btf() {
                Some(features) => parsed.fixup_and_sanitize_btf(features),
                None => Ok(None),
            };
            let own_btf = own_btf.map_err(|error| LoadError::refused(path, &error))?.map(Btf::to_bytes);
            match relocate_types(&mut parsed, bpf, external.as_ref().or_else(|| context.btf()))? {
                Some((section, why)) if misfits.insert(section, why.clone()).is_some() => {
                    return Err(LoadError::Load { path: path.clone(), why });
                }
                Some(_) => {}
                None => return Ok(Self { parsed, own_btf, misfits, unresolved }),
            }
        }
    }
}

fn not_prepared(path: &Path, error: PrepareError) -> LoadError {
    let path = path.to_owned();
    match error {
        PrepareError::Malformed => LoadError::Load { path, why: "its sections or types do not parse".to_owned() },
        PrepareError::NotConfigured(names) => LoadError::NotConfigured { path, names },
    }
}

fn set_globals(parsed: &mut aya_obj::Object, globals: &Globals) -> Result<(), aya_obj::ParseError> {
    let values = globals.values.iter().map(|(name, bytes)| (name.as_str(), (bytes.as_slice(), true)));
    parsed.patch_map_data(values.collect())
}

/// Does the CO-RE relocations. Returns the section whose relocations fail and the reason, if that costs its programs alone.
fn relocate_types(
    parsed: &mut aya_obj::Object,
    bpf: &Bpf,
    kernel_btf: Option<&Btf>,
) -> Result<Option<(usize, String)>, LoadError> {
    let path = &bpf.object.path;
    if !parsed.has_btf_relocations() {
        return Ok(None);
    }
    let kernel_btf = kernel_btf.ok_or_else(|| LoadError::NoKernelBtf { path: path.clone() })?;
    let Err(error) = parsed.relocate_btf(kernel_btf) else { return Ok(None) };
    match section_index(&error.section) {
        Some(section) if bpf.failure_costs == FailureCost::Program => Ok(Some((section, chain(&error)))),
        _ => Err(LoadError::refused(path, &error)),
    }
}

/// The kernel's BTF from the file of `--btf.path`, if there is one.
fn external_btf(bpf: &Bpf) -> Result<Option<Btf>, LoadError> {
    let Some(file) = &bpf.btf_path else { return Ok(None) };
    let parsed = Btf::parse_file(file, ::object::Endianness::default());
    parsed.map(Some).map_err(|error| LoadError::NotBtf {
        file: file.clone(),
        path: bpf.object.path.clone(),
        why: chain(&error),
    })
}
