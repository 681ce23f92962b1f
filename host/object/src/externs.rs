//! Symbols that an object leaves to its loader: configuration values (`__kconfig`) and kernel symbols (`__ksym`).

use crate::{
    btf::{Btf, INT_BOOL, INT_SIGNED, Kind},
    budget::Budget,
    elf::{Elf, SHN_UNDEF, STB_WEAK},
};

/// A symbol that the object does not define.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extern {
    pub name: String,
    /// Whether it may stay unresolved.
    pub is_weak: bool,
    pub kind: ExternKind,
    pub state: ExternState,
    /// Its type in the object's BTF.
    pub(crate) type_id: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExternKind {
    /// A value of the kernel's configuration, and where it is in the map `.kconfig`.
    Config { value: ConfigValue, offset: u32 },
    /// The address of a kernel symbol.
    Address,
    /// A variable of the kernel or a module, by its type.
    TypedVariable,
    /// A function of the kernel or a module.
    Function,
}

/// The resolution of a kernel symbol. The loader sets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExternState {
    #[default]
    Unresolved,
    Address(u64),
    /// A type's number in the BTF of the kernel or of a module.
    TypeId {
        id: u32,
        module: Option<ModuleFd>,
    },
}

/// How a program names a module's BTF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModuleFd {
    /// Its descriptor, which variables are loaded with.
    pub fd: i32,
    /// The descriptor's place in the `fd_array` of the program, which calls name. 0 is the kernel.
    pub slot: i16,
}

/// The form of a configuration value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigValue {
    Bool,
    /// A character, or one of `y`, `n`, `m`.
    Char,
    /// `enum libbpf_tristate`.
    Tristate,
    Int {
        size: u32,
        is_signed: bool,
    },
    /// A text of at most `size` - 1 bytes.
    Text {
        size: u32,
    },
}

impl ConfigValue {
    pub fn size(self) -> u32 {
        match self {
            Self::Bool | Self::Char => 1,
            Self::Tristate => 4,
            Self::Int { size, .. } | Self::Text { size } => size,
        }
    }

    fn alignment(self) -> u32 {
        match self {
            Self::Text { .. } => 1,
            other => other.size().max(1),
        }
    }
}

/// All externs, those of `.kconfig` with their places in that map. An extern that only BTF has is not used by any program.
pub(crate) fn externs(elf: &Elf<'_>, btf: &Btf, budget: &mut Budget) -> Result<(Vec<Extern>, u32), String> {
    let mut found = Vec::new();
    let is_weak = |name: &str| elf.symbol(SHN_UNDEF, name).map(|symbol| symbol.bind == STB_WEAK);
    let mut end = 0u32;
    for variable in btf.section(".kconfig").map(|section| section.variables()).unwrap_or_default() {
        let var = btf.get(variable.ty).ok_or("`.kconfig` names a type that is not there")?;
        let name = btf.text(var.name_offset()).to_owned();
        budget.take::<Extern>(&[&name])?;
        let Some(is_weak) = is_weak(&name) else { continue };
        let value = config_value(btf, var.size_or_type)
            .ok_or_else(|| format!("the extern `{name}` is of a type that no configuration value has"))?;
        let offset = end.checked_next_multiple_of(value.alignment()).ok_or("`.kconfig` is too large")?;
        end = offset.checked_add(value.size()).filter(|end| *end <= 1 << 20).ok_or("`.kconfig` is too large")?;
        let kind = ExternKind::Config { value, offset };
        found.push(Extern { name, is_weak, kind, state: ExternState::Unresolved, type_id: var.id });
    }
    for variable in btf.section(".ksyms").map(|section| section.variables()).unwrap_or_default() {
        let ty = btf.get(variable.ty).ok_or("`.ksyms` names a type that is not there")?;
        let name = btf.text(ty.name_offset()).to_owned();
        budget.take::<Extern>(&[&name])?;
        let Some(is_weak) = is_weak(&name) else { continue };
        let kind = match ty.kind {
            Kind::Func => ExternKind::Function,
            _ if btf.resolve(ty.size_or_type) == 0 => ExternKind::Address,
            _ => ExternKind::TypedVariable,
        };
        found.push(Extern { name, is_weak, kind, state: ExternState::Unresolved, type_id: ty.id });
    }
    Ok((found, end))
}

fn config_value(btf: &Btf, ty: u32) -> Option<ConfigValue> {
    let ty = btf.resolved(ty)?;
    match ty.kind {
        Kind::Int => {
            let (encoding, ..) = ty.int()?;
            match (ty.size_or_type, encoding) {
                (1, encoding) if encoding & INT_BOOL != 0 => Some(ConfigValue::Bool),
                (1, _) => Some(ConfigValue::Char),
                (size @ (2 | 4 | 8), encoding) => {
                    Some(ConfigValue::Int { size, is_signed: encoding & INT_SIGNED != 0 })
                }
                _ => None,
            }
        }
        Kind::Enum if ty.size_or_type == 4 => Some(ConfigValue::Tristate),
        Kind::Array => {
            let array = ty.array()?;
            (btf.size(array.element) == Some(1)).then_some(ConfigValue::Text { size: array.len })
        }
        _ => None,
    }
}
