//! The types of the running kernel and of its modules.
//!
//! The kernel's are read once. Modules come and go, so theirs are read for each object anew, and only if the kernel itself does not have a name that
//! the object asks for. Types of a module are named to the kernel by a descriptor of the module's BTF, which takes CAP_SYS_ADMIN to open.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::{AsFd as _, AsRawFd as _, OwnedFd},
        unix::fs::OpenOptionsExt as _,
    },
    path::Path,
    sync::{Arc, OnceLock},
};

use crate::sys;
use ebhost_limits as limits;
use ebhost_object::{
    Btf, ModuleFd,
    btf::{Enumerator, Kind, Type},
    core::KernelTypes,
};

/// Where the kernel shows its types.
const FOLDER: &str = "/sys/kernel/btf";

/// Types of a kernel and, if it is the running one, of its modules as they are when they are first needed.
#[derive(Debug)]
pub(crate) struct KernelBtf {
    kernel: Arc<Btf>,
    modules: OnceLock<Modules>,
    has_modules: HasModules,
}

/// Whether modules are looked at: not for types from a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HasModules {
    Yes,
    No,
}

#[derive(Debug, Default)]
struct Modules {
    names: Vec<String>,
    types: Vec<Arc<Btf>>,
}

/// A type that was found by its name.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) id: u32,
    /// The types that `id` numbers.
    pub(crate) types: Arc<Btf>,
    /// The module whose type it is; `None`: the kernel's own.
    pub(crate) module: Option<String>,
}

impl KernelBtf {
    /// The running kernel's types, with the modules that are loaded now. `kernel`: from [`read_kernel`].
    pub(crate) fn running(kernel: Arc<Btf>) -> Self {
        Self { kernel, modules: OnceLock::new(), has_modules: HasModules::Yes }
    }

    /// Types from a file: BTF alone, or an ELF file that has it.
    pub(crate) fn from_file(file: &Path) -> Result<Self, String> {
        let kernel = Btf::shared(Arc::new(btf_in(file)?), None)?;
        Ok(Self { kernel: Arc::new(kernel), modules: OnceLock::new(), has_modules: HasModules::No })
    }

    /// A type of the kernel or, if it has none of the name, of a module. `MODULE:NAME` looks in that module alone.
    pub(crate) fn find(&self, name: &str, kind: Kind) -> Option<Found> {
        let (module, name) = split_module(name);
        if module.is_none_or(|module| module == "vmlinux")
            && let Some(id) = self.kernel.find(name, kind)
        {
            return Some(Found { id, types: self.kernel.clone(), module: None });
        }
        let modules = self.modules_read();
        let mut all = modules.names.iter().zip(&modules.types);
        all.find_map(|(found, types)| {
            let id = module.is_none_or(|module| module == found).then(|| types.find(name, kind))??;
            Some(Found { id, types: types.clone(), module: Some(found.clone()) })
        })
    }

    /// Whether this kernel has the map type of this number.
    pub(crate) fn has_map_type(&self, number: u32) -> bool {
        let id = self.kernel.find("bpf_map_type", Kind::Enum);
        let enumerators = id.and_then(|id| self.kernel.get(id)).map(|types| self.kernel.enumerators(types));
        // The last one, `__MAX_BPF_MAP_TYPE`, is no type.
        let is_type = |one: &Enumerator<'_>| one.value == i64::from(number) && !one.name.starts_with("__");
        enumerators.is_none_or(|all| all.iter().any(is_type))
    }

    fn modules_read(&self) -> &Modules {
        self.modules.get_or_init(|| match self.has_modules {
            HasModules::Yes => self.read_modules(),
            HasModules::No => Modules::default(),
        })
    }

    fn read_modules(&self) -> Modules {
        let mut modules = Modules::default();
        for entry in fs::read_dir(FOLDER).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "vmlinux" {
                continue;
            }
            let Ok(bytes) = fs::read(entry.path()) else { continue };
            if let Ok(types) = Btf::shared(Arc::new(bytes), Some(self.kernel.clone())) {
                modules.names.push(name);
                modules.types.push(Arc::new(types));
            }
        }
        modules
    }
}

/// How BTF begins.
const BTF_MAGIC: [u8; 2] = [0x9f, 0xeb];
const ELF_MAGIC: [u8; 4] = *b"\x7fELF";

/// The BTF in a file that an operator names. Of an ELF file, which may be a kernel with all its debug information, only the section is
/// read, and nothing of a file that begins like neither.
fn btf_in(path: &Path) -> Result<Vec<u8>, String> {
    let most = limits::KERNEL_BTF_BYTES;
    let text = |error: io::Error| error.to_string();
    let irregular = || "it is not a regular file".to_owned();
    // A device may not even be opened (Landlock), and opening a FIFO must not block.
    if !fs::metadata(path).map_err(text)?.is_file() {
        return Err(irregular());
    }
    let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(text)?;
    if !file.metadata().map_err(text)?.is_file() {
        return Err(irregular());
    }
    let mut bytes = Vec::new();
    file.by_ref().take(ELF_MAGIC.len() as u64).read_to_end(&mut bytes).map_err(text)?;
    if bytes == ELF_MAGIC {
        return section_of_elf(file, most);
    }
    if !bytes.starts_with(&BTF_MAGIC) {
        return Err("it does not begin like BTF or ELF".to_owned());
    }
    file.take(most).read_to_end(&mut bytes).map_err(text)?;
    if bytes.len() as u64 > most {
        return Err(format!("found more than {most} bytes, expected the types of one kernel"));
    }
    Ok(bytes)
}

/// The section `.BTF` of an ELF file.
fn section_of_elf(file: File, most: u64) -> Result<Vec<u8>, String> {
    use object::{Object as _, ObjectSection as _, ReadCache};
    let file = ReadCache::new(file);
    let elf = object::File::parse(&file).map_err(|error| error.to_string())?;
    let section = elf.section_by_name(".BTF").ok_or("it has no section `.BTF`")?;
    if section.size() > most {
        return Err(format!("found a section `.BTF` of {} bytes, expected at most {most}", section.size()));
    }
    Ok(section.data().map_err(|error| error.to_string())?.to_vec())
}

/// Reads the types of the running kernel.
///
/// # Errors
/// It shows none, or none that can be read; the text says why.
pub(crate) fn read_kernel() -> Result<Arc<Btf>, String> {
    let bytes = read_file(&Path::new(FOLDER).join("vmlinux")).map_err(|error| error.to_string())?;
    Ok(Arc::new(Btf::shared(Arc::new(bytes), None)?))
}

/// The structs of the running kernel, for a check of a program's source.
pub struct KernelStructs(Arc<Btf>);

impl KernelStructs {
    /// None: the kernel shows no types.
    pub fn read() -> Option<Self> {
        read_kernel().ok().map(Self)
    }

    /// Names of a struct's members, those of its anonymous structs and unions included. None: the kernel has no such struct.
    pub fn members(&self, name: &str) -> Option<BTreeSet<String>> {
        let ty = self.0.get(self.0.find(name, Kind::Struct)?)?;
        let mut found = BTreeSet::new();
        self.collect(ty, &mut found, 8);
        Some(found)
    }

    fn collect(&self, ty: Type<'_>, found: &mut BTreeSet<String>, depth: u32) {
        for member in self.0.members(ty) {
            if !member.name.is_empty() {
                found.insert(member.name.to_owned());
            } else if let Some(inner) =
                self.0.resolved(member.ty).filter(|inner| inner.kind.is_composite() && depth > 0)
            {
                self.collect(inner, found, depth - 1);
            }
        }
    }
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
    // Since Linux 6.16 the file can be mapped, which costs less than reading it 4 KiB at a time.
    sys::with_mapped(file.as_fd(), bytes, <[u8]>::to_vec).or_else(|_| fs::read(path))
}

/// The module of a target such as `nf_conntrack:nf_conntrack_in`, if it names one, and the name.
pub(crate) fn split_module(target: &str) -> (Option<&str>, &str) {
    target.split_once(':').map_or((None, target), |(module, name)| (Some(module), name))
}

impl KernelTypes for KernelBtf {
    fn kernel(&self) -> &Arc<Btf> {
        &self.kernel
    }

    fn modules(&self) -> &[Arc<Btf>] {
        &self.modules_read().types
    }
}

/// Descriptors of modules' types, each opened once. They stay open as long as a program is loaded with them.
#[derive(Debug, Default)]
pub(crate) struct ModuleFds(Vec<(String, OwnedFd)>);

impl ModuleFds {
    /// The descriptor of a module's types; `None`: it cannot be opened.
    pub(crate) fn open(&mut self, module: &str) -> Option<ModuleFd> {
        let at = match self.0.iter().position(|(name, _)| name == module) {
            Some(at) => at,
            None => {
                self.0.push((module.to_owned(), sys::module_btf(module).ok()?));
                self.0.len() - 1
            }
        };
        Some(ModuleFd { fd: self.0[at].1.as_raw_fd(), slot: i16::try_from(at + 1).ok()? })
    }

    /// The array that a program's calls name modules by; its first place is the kernel's.
    pub(crate) fn array(&self) -> Vec<i32> {
        if self.0.is_empty() {
            return Vec::new();
        }
        [0].into_iter().chain(self.0.iter().map(|(_, fd)| fd.as_raw_fd())).collect()
    }
}

/// Why a module's types are not to be had.
pub(crate) fn module_error(module: &str) -> io::Error {
    io::Error::other(format!("the types of module `{module}` cannot be opened; expected CAP_SYS_ADMIN"))
}
