//! An object as plain data.

use std::collections::HashMap;

use crate::{
    btf::{Btf, Kind},
    btf_ext::BtfExt,
    budget::Budget,
    core::compat,
    elf::Elf,
    externs::{Extern, ExternKind, ExternState, externs},
    fixup::{self, BtfFeatures},
    maps::{DataSection, Map, data_map, maps},
    programs::{Function, Program, functions},
    relocations::resolve,
};

/// The map of configuration values.
const KCONFIG: &str = ".kconfig";

/// A parsed object.
#[derive(Debug, Clone)]
pub struct Object {
    /// The programs' license; empty: there is none, and they may not call functions that ask for the GPL.
    pub license: String,
    pub programs: Vec<Program>,
    pub maps: Vec<Map>,
    pub externs: Vec<Extern>,
    pub btf: Option<Btf>,
    pub(crate) subprograms: Vec<Function>,
    /// Global variables by name.
    pub globals: Vec<Global>,
}

/// A variable in a section of data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Global {
    pub name: String,
    /// Index of the map that holds it.
    pub map: usize,
    pub offset: u32,
    pub size: u32,
    /// Its type in the object's BTF.
    pub type_id: u32,
}

/// Why bytes are no object that can be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error("it is not an ELF file that can be read ({0}); expected what `clang -target bpf -g -O2 -c` makes")]
    NotElf(String),
    #[error("it is an object for {0}; expected one for little-endian BPF")]
    OtherMachine(String),
    #[error("its types (`.BTF`) cannot be read: {0}; compile it again with `-g`")]
    Btf(String),
    #[error("its type information (`.BTF.ext`) cannot be read: {0}")]
    BtfExt(String),
    #[error("it declares maps in `.maps`, but has no types (`.BTF`) to read them from: compile it with `-g`")]
    MapsWithoutBtf,
    #[error("{0}")]
    Maps(String),
    #[error("{0}")]
    Externs(String),
    #[error("{0}")]
    Functions(String),
}

impl Object {
    /// Parses the bytes of an object file. Any bytes give an object or an error.
    pub fn parse(file: &[u8]) -> Result<Self, ParseError> {
        let elf = Elf::parse(file)?;
        let mut budget = Budget::of(file);
        let mut btf = match elf.section(".BTF") {
            Some((_, section)) => Some(Btf::parse(section.data).map_err(ParseError::Btf)?),
            None => None,
        };
        let mut ext = match (elf.section(".BTF.ext"), &btf) {
            (Some((_, section)), Some(btf)) => BtfExt::parse(section.data, btf).map_err(ParseError::BtfExt)?,
            _ => BtfExt::default(),
        };
        if btf.is_none() && elf.section(".maps").is_some() {
            return Err(ParseError::MapsWithoutBtf);
        }
        let mut maps = maps(&elf, btf.as_ref(), &mut budget).map_err(ParseError::Maps)?;
        let mut found = Vec::new();
        if let Some(btf) = &btf {
            let (externs, size) = externs(&elf, btf, &mut budget).map_err(ParseError::Externs)?;
            if size > 0 {
                let contents = vec![0; size as usize];
                maps.push(data_map(KCONFIG, size, DataSection { section: None, contents, read_only: true }, Some(btf)));
            }
            found = externs;
        }
        let (mut programs, mut subprograms) = functions(&elf, &mut ext, &mut budget).map_err(ParseError::Functions)?;
        resolve(&elf, &mut programs, &mut subprograms, &maps, &found);
        if let Some(btf) = &mut btf {
            let damaged = || ParseError::Btf("a record lies outside".into());
            fixup::place_variables(&elf, btf).ok_or_else(damaged)?;
            fixup::hide_functions(btf, &programs, &subprograms).ok_or_else(damaged)?;
        }
        let license = elf.section("license").map(|(_, section)| license(section.data)).unwrap_or_default();
        let globals = globals(&elf, btf.as_ref(), &maps, &mut budget).map_err(ParseError::Maps)?;
        Ok(Self { license, programs, maps, externs: found, btf, subprograms, globals })
    }

    pub fn program(&self, name: &str) -> Option<&Program> {
        self.programs.iter().find(|program| program.name == name)
    }

    pub fn map(&self, name: &str) -> Option<&Map> {
        self.maps.iter().find(|map| map.name == name)
    }

    pub fn global(&self, name: &str) -> Option<&Global> {
        self.globals.iter().find(|global| global.name == name)
    }

    /// Sets the bytes of a global variable before the object is loaded; false if it has no such variable of that size.
    pub fn set_global(&mut self, name: &str, value: &[u8]) -> bool {
        let Some(global) = self.global(name).cloned() else { return false };
        global.size as usize == value.len() && self.write(global.map, global.offset, value)
    }

    /// Sets a configuration value: the bytes of its type. The extern counts as resolved from then on.
    pub fn set_config(&mut self, index: usize, value: &[u8]) -> bool {
        let Some(ExternKind::Config { value: shape, offset }) = self.externs.get(index).map(|one| one.kind) else {
            return false;
        };
        let Some(map) = self.maps.iter().position(|map| map.name == KCONFIG) else { return false };
        value.len() == shape.size() as usize && {
            self.externs[index].state = ExternState::Address(0);
            self.write(map, offset, value)
        }
    }

    fn write(&mut self, map: usize, offset: u32, value: &[u8]) -> bool {
        let Some(size) = self.maps.get(map).map(|map| map.value_size as usize) else { return false };
        let Some(data) = self.maps.get_mut(map).and_then(Map::data_mut) else { return false };
        let offset = offset as usize;
        if offset + value.len() > size {
            return false;
        }
        if data.contents.len() < offset + value.len() {
            data.contents.resize(offset + value.len(), 0); // `.bss` has no contents in the file
        }
        data.contents[offset..offset + value.len()].copy_from_slice(value);
        true
    }

    /// The object's types in the form that a kernel with these features takes; none if it has none.
    pub fn kernel_btf(&self, features: BtfFeatures) -> Option<Vec<u8>> {
        fixup::for_kernel(self.btf.as_ref()?, &self.externs, features)
    }

    /// Whether an extern function or variable may be the one of type `id` in `target`: its declaration has the same sort of types.
    pub fn extern_fits(&self, index: usize, target: &Btf, id: u32) -> bool {
        let (Some(btf), Some(one)) = (&self.btf, self.externs.get(index)) else { return false };
        let (Some(ours), Some(theirs)) = (btf.get(one.type_id), target.get(id)) else { return false };
        // The prototype of a function, the type of a variable.
        ours.kind == theirs.kind && compat::types_are_compatible(btf, ours.size_or_type, target, theirs.size_or_type)
    }

    /// The type of a program's function in the object's BTF.
    pub fn function_type(&self, program: &Program) -> Option<u32> {
        program.function.funcs.first().map(|(_, info)| info.type_id)
    }

    pub(crate) fn functions_mut(&mut self) -> impl Iterator<Item = &mut Function> {
        self.programs.iter_mut().map(|program| &mut program.function).chain(&mut self.subprograms)
    }
}

fn license(data: &[u8]) -> String {
    let end = data.iter().position(|byte| *byte == 0).unwrap_or(data.len());
    // The kernel compares at most 127 bytes of it.
    String::from_utf8_lossy(&data[..end.min(127)]).into_owned()
}

/// Variables that the object's types know and symbols of the file place.
fn globals(elf: &Elf<'_>, btf: Option<&Btf>, maps: &[Map], budget: &mut Budget) -> Result<Vec<Global>, String> {
    let Some(btf) = btf else { return Ok(Vec::new()) };
    let variables = btf.own_ids().filter_map(|id| btf.get(id)).filter(|ty| ty.kind == Kind::Var);
    let mut types: HashMap<&str, u32> = variables
        .map(|ty| (btf.text(ty.name_offset()), ty.size_or_type))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let of_data = maps.iter().enumerate().rev().filter_map(|(index, map)| Some((map.data()?.section?, index)));
    let by_section: HashMap<usize, usize> = of_data.collect();
    let mut found = Vec::new();
    for symbol in elf.symbols.iter().filter(|symbol| symbol.size > 0 && !symbol.is_undefined()) {
        let Some(&map) = by_section.get(&(symbol.section as usize)) else { continue };
        let place = u32::try_from(symbol.value).ok().zip(u32::try_from(symbol.size).ok());
        let place =
            place.filter(|(offset, size)| offset.checked_add(*size).is_some_and(|end| end <= maps[map].value_size));
        let (Some((offset, size)), Some(type_id)) = (place, types.remove(symbol.name)) else { continue };
        budget.take::<Global>(&[symbol.name])?;
        found.push(Global { name: symbol.name.to_owned(), map, offset, size, type_id });
    }
    Ok(found)
}
