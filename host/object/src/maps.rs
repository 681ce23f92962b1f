//! Maps that an object declares: in `.maps` by types, in a legacy `maps` section by structs, and one for each section of data.

use crate::{
    btf::{Btf, Kind, LINKAGE_GLOBAL, Type},
    budget::Budget,
    bytes::u32_at,
    elf::{Elf, Relocation, SHF_ALLOC, SHT_NOBITS, Symbol},
};

/// Map types that need more than their numbers (`enum bpf_map_type`).
pub(crate) const BPF_MAP_TYPE_ARRAY: u32 = 2;
pub(crate) const BPF_MAP_TYPE_PROG_ARRAY: u32 = 3;
pub(crate) const BPF_MAP_TYPE_ARRAY_OF_MAPS: u32 = 12;
pub(crate) const BPF_MAP_TYPE_HASH_OF_MAPS: u32 = 13;

pub(crate) const BPF_F_RDONLY_PROG: u32 = 1 << 7;
pub(crate) const BPF_F_MMAPABLE: u32 = 1 << 10;

/// A map as it is to be created.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Map {
    /// As declared; the section's name for a map that holds a section.
    pub name: String,
    /// `enum bpf_map_type`.
    pub kind: u32,
    pub key_size: u32,
    pub value_size: u32,
    pub max_entries: u32,
    pub flags: u32,
    pub numa_node: Option<u32>,
    pub extra: u64,
    /// Whether it is pinned below the bpffs by its name (`LIBBPF_PIN_BY_NAME`).
    pub pinned: bool,
    /// Types of key and value in the object's BTF; 0: none.
    pub key_type: u32,
    pub value_type: u32,
    /// The shape of the maps that a map of maps holds.
    pub inner: Option<Box<Map>>,
    /// Values that the object gives some of its entries.
    pub initial: Vec<InitialValue>,
    pub origin: MapOrigin,
}

/// The value that an entry is set to once everything is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InitialValue {
    /// Entry `index` is the map of this name.
    Map { index: u32, name: String },
    /// Entry `index` is the program of this name.
    Program { index: u32, name: String },
}

/// Where a map is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MapOrigin {
    /// In `.maps` or `maps`, at this offset of this section.
    Declared { section: usize, offset: u64 },
    /// It holds a section of data.
    Data(DataSection),
}

impl Default for MapOrigin {
    fn default() -> Self {
        Self::Declared { section: 0, offset: 0 }
    }
}

/// The contents of `.rodata`, `.data`, `.bss` or `.kconfig`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataSection {
    /// The section's number; none for configuration values, which no section of the file holds.
    pub section: Option<usize>,
    /// Empty: all zero.
    pub contents: Vec<u8>,
    /// Whether it is frozen before programs are loaded, so that the verifier knows its values.
    pub read_only: bool,
}

impl Map {
    pub fn data(&self) -> Option<&DataSection> {
        match &self.origin {
            MapOrigin::Data(data) => Some(data),
            MapOrigin::Declared { .. } => None,
        }
    }

    pub(crate) fn data_mut(&mut self) -> Option<&mut DataSection> {
        match &mut self.origin {
            MapOrigin::Data(data) => Some(data),
            MapOrigin::Declared { .. } => None,
        }
    }
}

/// All maps of an object, in the order of declaration, data sections last. Those of `.maps` are read from `btf`.
pub(crate) fn maps(elf: &Elf<'_>, btf: Option<&Btf>, budget: &mut Budget) -> Result<Vec<Map>, String> {
    let mut maps = Vec::new();
    if let Some((section, _)) = elf.section(".maps") {
        maps.extend(btf.map(|btf| declared(elf, btf, section, budget)).transpose()?.unwrap_or_default());
    }
    for legacy in ["maps", ".maps.legacy"] {
        if let Some((section, _)) = elf.section(legacy) {
            maps.extend(legacy_maps(elf, section, budget)?);
        }
    }
    for (index, section) in elf.sections.iter().enumerate() {
        if let Some(read_only) = data_kind(section.name).filter(|_| section.flags & SHF_ALLOC != 0 && section.size > 0)
        {
            let size = u32::try_from(section.size).ok().filter(|size| *size <= i32::MAX as u32);
            let size = size.ok_or_else(|| {
                format!("its section `{}` of {} bytes is larger than a map can be", section.name, section.size)
            })?;
            let contents = if section.kind == SHT_NOBITS { Vec::new() } else { section.data.to_vec() };
            budget.take::<Map>(&[section.name])?;
            maps.push(data_map(section.name, size, DataSection { section: Some(index), contents, read_only }, btf));
        }
    }
    Ok(maps)
}

/// The map of a section of data: an array with one entry, the whole section.
pub(crate) fn data_map(name: &str, size: u32, data: DataSection, btf: Option<&Btf>) -> Map {
    let flags = BPF_F_MMAPABLE | if data.read_only { BPF_F_RDONLY_PROG } else { 0 };
    Map {
        name: name.to_owned(),
        kind: BPF_MAP_TYPE_ARRAY,
        key_size: 4,
        value_size: size,
        max_entries: 1,
        flags,
        value_type: btf.and_then(|btf| btf.section(name)).map_or(0, |section| section.id),
        origin: MapOrigin::Data(data),
        ..Map::default()
    }
}

/// Whether a section of this name is data, and then whether it is read-only.
fn data_kind(name: &str) -> Option<bool> {
    let is = |prefix: &str| name == prefix || name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('.'));
    if is(".rodata") {
        Some(true)
    } else if is(".data") || is(".bss") {
        Some(false)
    } else {
        None
    }
}

fn declared(elf: &Elf<'_>, btf: &Btf, section: usize, budget: &mut Budget) -> Result<Vec<Map>, String> {
    let Some(types) = btf.section(".maps") else {
        return Err("its section `.maps` has no types in BTF: compile with `-g`".into());
    };
    let mut relocations: Vec<_> = elf.relocations(section).collect();
    relocations.sort_by_key(|relocation| relocation.offset);
    let mut maps = Vec::new();
    for variable in types.variables() {
        let var = btf.get(variable.ty).filter(|ty| ty.kind == Kind::Var).ok_or("a map of `.maps` has no type")?;
        let name = btf.text(var.name_offset());
        // The inner maps' shape is a map as well.
        budget.take::<[Map; 2]>(&[name])?;
        if var.linkage() != LINKAGE_GLOBAL {
            return Err(format!("map `{name}` is static, which cannot be told from other maps; make it global"));
        }
        let definition = btf.resolved(var.size_or_type).filter(|ty| ty.kind == Kind::Struct);
        let definition = definition.ok_or_else(|| format!("map `{name}` is not declared as a struct"))?;
        // The compiler leaves the offset in the section to the linker; the symbol has it.
        let symbol = u16::try_from(section).ok().and_then(|section| elf.symbol(section, name));
        let offset = symbol.map_or(u64::from(variable.offset), |symbol| symbol.value);
        let mut map = Map { name: name.to_owned(), origin: MapOrigin::Declared { section, offset }, ..Map::default() };
        define(btf, definition, &mut map, Inner::Allowed).map_err(|why| format!("map `{name}`: {why}"))?;
        map.initial = initial_values(elf, btf, &relocations, definition, &map, budget)
            .map_err(|why| format!("map `{name}`: {why}"))?;
        maps.push(map);
    }
    Ok(maps)
}

/// Whether a definition may be of a map of maps: one that is inside another may not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inner {
    Allowed,
    Refused,
}

/// Reads the members of a map's definition, as the macros `__uint`, `__type`, `__array` and `__ulong` write them.
fn define(btf: &Btf, definition: Type<'_>, map: &mut Map, inner: Inner) -> Result<(), String> {
    for member in btf.members(definition) {
        let number = || uint(btf, member.ty).ok_or_else(|| format!("`{}` is not written with __uint", member.name));
        match member.name {
            "type" => map.kind = number()?,
            "max_entries" => map.max_entries = number()?,
            "map_flags" => map.flags = number()?,
            "numa_node" => map.numa_node = Some(number()?),
            "map_extra" => map.extra = ulong(btf, member.ty).ok_or("`map_extra` is not written with __ulong")?,
            "pinning" => {
                map.pinned = match number()? {
                    0 => false,
                    1 => true,
                    other => return Err(format!("found pinning {other}, expected 0 or LIBBPF_PIN_BY_NAME (1)")),
                }
            }
            "key_size" => size_of_part(&mut map.key_size, number()?, member.name)?,
            "value_size" => size_of_part(&mut map.value_size, number()?, member.name)?,
            "key" => {
                let (ty, size) =
                    pointee(btf, member.ty).ok_or("`key` is not written with __type, or of an incomplete type")?;
                size_of_part(&mut map.key_size, size, member.name)?;
                map.key_type = ty;
            }
            "value" => {
                let (ty, size) =
                    pointee(btf, member.ty).ok_or("`value` is not written with __type, or of an incomplete type")?;
                size_of_part(&mut map.value_size, size, member.name)?;
                map.value_type = ty;
            }
            "values" => values(btf, member.ty, map, inner)?,
            other => return Err(format!("has the unknown member `{other}`")),
        }
    }
    if map.kind == 0 {
        return Err("has no `type`".into());
    }
    Ok(())
}

/// Two members may say a size; they have to say the same.
fn size_of_part(size: &mut u32, found: u32, member: &str) -> Result<(), String> {
    if *size != 0 && *size != found {
        return Err(format!("`{member}` says {found} bytes, another member says {size}"));
    }
    *size = found;
    Ok(())
}

/// `__array(values, …)`: programs of a PROG_ARRAY, or the definition of inner maps.
fn values(btf: &Btf, ty: u32, map: &mut Map, inner: Inner) -> Result<(), String> {
    let array = btf.resolved(ty).and_then(|ty| ty.array()).ok_or("`values` is not written with __array")?;
    let element =
        btf.resolved(array.element).filter(|ty| ty.kind == Kind::Ptr).ok_or("`values` is not an array of pointers")?;
    map.value_size = 4;
    let pointed = btf.resolved(element.size_or_type);
    match (map.kind, pointed) {
        (BPF_MAP_TYPE_PROG_ARRAY, Some(ty)) if ty.kind == Kind::FuncProto => Ok(()),
        (BPF_MAP_TYPE_ARRAY_OF_MAPS | BPF_MAP_TYPE_HASH_OF_MAPS, Some(ty)) if ty.kind == Kind::Struct => {
            if inner == Inner::Refused {
                return Err("a map of maps may not hold maps of maps".into());
            }
            let mut of = Map { name: format!("{}.inner", map.name), ..Map::default() };
            define(btf, ty, &mut of, Inner::Refused)
                .map_err(|why| format!("the definition of its inner maps: {why}"))?;
            map.inner = Some(Box::new(of));
            Ok(())
        }
        _ => Err("`values` is for a PROG_ARRAY of functions and for maps of maps".into()),
    }
}

/// The number of `__uint(name, number)`, which is a pointer to an array of so many integers.
fn uint(btf: &Btf, ty: u32) -> Option<u32> {
    let pointer = btf.resolved(ty).filter(|ty| ty.kind == Kind::Ptr)?;
    Some(btf.resolved(pointer.size_or_type)?.array()?.len)
}

/// The number of `__ulong(name, number)`, which is the value of an enum; or of `__uint`.
fn ulong(btf: &Btf, ty: u32) -> Option<u64> {
    let ty = btf.resolved(ty)?;
    if ty.kind == Kind::Ptr {
        if let Some(number) = uint(btf, ty.id) {
            return Some(u64::from(number));
        }
        let values = btf.enumerators(btf.resolved(ty.size_or_type)?);
        return values.first().map(|value| value.value as u64);
    }
    btf.enumerators(ty).first().map(|value| value.value as u64)
}

/// The type of `__type(name, T)`, which is a pointer to it, and its size.
fn pointee(btf: &Btf, ty: u32) -> Option<(u32, u32)> {
    let pointer = btf.resolved(ty).filter(|ty| ty.kind == Kind::Ptr)?;
    let size = u32::try_from(btf.size(pointer.size_or_type)?).ok()?;
    Some((pointer.size_or_type, size))
}

/// The values that `.values = { … }` gives: each is a relocation of `.maps` at its place in the array. `relocations`: those of the section, in order.
fn initial_values(
    elf: &Elf<'_>,
    btf: &Btf,
    relocations: &[Relocation],
    definition: Type<'_>,
    map: &Map,
    budget: &mut Budget,
) -> Result<Vec<InitialValue>, String> {
    let MapOrigin::Declared { section, offset } = map.origin else { return Ok(Vec::new()) };
    let Some(values) = btf.members(definition).find(|member| member.name == "values") else { return Ok(Vec::new()) };
    let start = offset.saturating_add(u64::from(values.bit_offset / 8));
    // Initial values make a variable longer than its type says; its symbol has the length.
    let symbol = u16::try_from(section).ok().and_then(|section| elf.symbol(section, &map.name));
    let size = btf.size(definition.id).unwrap_or(0).max(symbol.map_or(0, |symbol| symbol.size));
    let end = offset.saturating_add(size);
    let first = relocations.partition_point(|relocation| relocation.offset < start);
    let mut initial = Vec::new();
    for relocation in relocations[first..].iter().take_while(|relocation| relocation.offset < end) {
        let symbol = elf.symbols.get(relocation.symbol as usize).ok_or("an initial value names no symbol")?;
        let index = u32::try_from((relocation.offset - start) / 8).map_err(|_| "an initial value is out of range")?;
        budget.take::<InitialValue>(&[symbol.name])?;
        initial.push(initial_value(elf, map, index, symbol)?);
    }
    Ok(initial)
}

fn initial_value(elf: &Elf<'_>, map: &Map, index: u32, symbol: &Symbol<'_>) -> Result<InitialValue, String> {
    let name = symbol.name.to_owned();
    if map.kind == BPF_MAP_TYPE_PROG_ARRAY {
        let is_program = elf.sections.get(symbol.section as usize).is_some_and(crate::elf::Section::is_code);
        return if is_program {
            Ok(InitialValue::Program { index, name })
        } else {
            Err(format!("its initial value {index}, `{name}`, is not a program"))
        };
    }
    Ok(InitialValue::Map { index, name })
}

/// Definitions of five numbers each, as libbpf before 1.0 and aya-ebpf write them.
fn legacy_maps(elf: &Elf<'_>, section: usize, budget: &mut Budget) -> Result<Vec<Map>, String> {
    const LEAST_BYTES: usize = 20;
    let data = elf.sections[section].data;
    let mut found: Vec<_> =
        elf.symbols.iter().filter(|symbol| symbol.section as usize == section && !symbol.name.is_empty()).collect();
    found.sort_by_key(|symbol| symbol.value);
    let mut map = |symbol: &&Symbol<'_>| {
        budget.take::<Map>(&[symbol.name])?;
        let at = usize::try_from(symbol.value).ok();
        let numbers = at.and_then(|at| data.get(at..)).filter(|rest| rest.len() >= LEAST_BYTES);
        let numbers = numbers.ok_or_else(|| format!("map `{}` lies outside its section", symbol.name))?;
        let number = |index: usize| u32_at(numbers, index * 4).unwrap_or(0);
        // aya-ebpf adds a number for the map's id and one for pinning.
        let pinned = symbol.size >= 28 && number(6) == 1;
        Ok(Map {
            name: symbol.name.to_owned(),
            kind: number(0),
            key_size: number(1),
            value_size: number(2),
            max_entries: number(3),
            flags: number(4),
            pinned,
            origin: MapOrigin::Declared { section, offset: symbol.value },
            ..Map::default()
        })
    };
    found.iter().map(&mut map).collect()
}
