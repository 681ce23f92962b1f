//! Maps pinned by name in the BPF file system, as libbpf's `LIBBPF_PIN_BY_NAME` has them.
//!
//! A pinned map may come from another version of the object or from another tool. It is used only if it has the declared shape.

use std::{
    ffi::CString,
    io,
    path::{Path, PathBuf},
};

use aya_obj::generated::bpf_map_type as map_type;

use crate::{MapShape, object::files, sys::KernelMap};

/// Where libbpf pins by name.
const PIN_FOLDER: &str = "/sys/fs/bpf";

/// Why a pinned map is not used, or a map not pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// A map of another version of the object, or another tool's. Its entries would not fit what the programs and the reader expect.
    #[error(
        "{pin} is a map of another shape: found {found}; expected {expected}; remove that pin if nothing else uses it, or rename the map"
    )]
    OtherShape { pin: PathBuf, found: MapShape, expected: MapShape },
    #[error("its pin {pin} cannot be opened: {error}")]
    Open {
        pin: PathBuf,
        #[source]
        error: io::Error,
    },
    #[error("its pin {pin} cannot be created: {error}; {}", advice(.error))]
    Create {
        pin: PathBuf,
        #[source]
        error: io::Error,
    },
}

/// Opens the map that is pinned under this name, if there is one.
///
/// # Errors
/// The pinned map does not have the declared shape, or cannot be opened.
pub(super) fn open(name: &str, declared: MapShape) -> Result<Option<KernelMap>, PinError> {
    let pin = path(name);
    let found = c_path(&pin).and_then(|path| KernelMap::from_pin(&path));
    let map = match found {
        Ok(Some(map)) => map,
        Ok(None) => return Ok(None),
        Err(error) => return Err(PinError::Open { pin, error }),
    };
    if comparable(map.shape()) != comparable(declared) {
        return Err(PinError::OtherShape { pin, found: map.shape(), expected: declared });
    }
    Ok(Some(map))
}

/// Pins a map under its name.
pub(super) fn pin(name: &str, map: &KernelMap) -> Result<(), PinError> {
    let pin = path(name);
    c_path(&pin).and_then(|path| map.pin(&path)).map_err(|error| PinError::Create { pin, error })
}

/// The folders that loading the objects in `folders`, and in their direct subfolders, creates pins in: none, unless one of the
/// objects declares a pinned map.
pub fn pin_folders(folders: &[&Path]) -> Vec<PathBuf> {
    let declares_pins = files::objects_in(folders).iter().any(|object| files::declares_pins(object));
    if declares_pins { vec![PathBuf::from(PIN_FOLDER)] } else { Vec::new() }
}

/// The shape without what the kernel itself changes: device maps become read-only for programs, and LRU lists of each CPU round
/// the number of entries.
fn comparable(mut shape: MapShape) -> MapShape {
    const BPF_F_NO_COMMON_LRU: u32 = 1 << 1;
    const BPF_F_RDONLY_PROG: u32 = 1 << 7;
    if shape.is_one_of(&[map_type::BPF_MAP_TYPE_DEVMAP, map_type::BPF_MAP_TYPE_DEVMAP_HASH]) {
        shape.flags &= !BPF_F_RDONLY_PROG;
    }
    let is_lru = shape.is_one_of(&[map_type::BPF_MAP_TYPE_LRU_HASH, map_type::BPF_MAP_TYPE_LRU_PERCPU_HASH]);
    if is_lru && shape.flags & BPF_F_NO_COMMON_LRU != 0 {
        shape.max_entries = 0;
    }
    shape
}

fn path(name: &str) -> PathBuf {
    Path::new(PIN_FOLDER).join(name)
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_encoded_bytes())?)
}

fn advice(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES) => {
            "expected an object that was there at the start (only then may pins be created): restart ebhost, or use --landlock off"
        }
        _ => "expected a BPF file system at /sys/fs/bpf: mount -t bpf bpf /sys/fs/bpf",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(kind: map_type, max_entries: u32, flags: u32) -> MapShape {
        MapShape { kind: kind as u32, key_size: 4, value_size: 8, max_entries, flags }
    }

    #[test]
    fn what_the_kernel_changes_itself_is_no_other_shape() {
        let device = |flags| comparable(shape(map_type::BPF_MAP_TYPE_DEVMAP, 4, flags));
        assert_eq!(device(0), device(1 << 7));
        let lru = |entries, flags| comparable(shape(map_type::BPF_MAP_TYPE_LRU_HASH, entries, flags));
        assert_eq!(lru(100, 1 << 1), lru(128, 1 << 1));
        assert_ne!(lru(100, 0), lru(128, 0));
    }

    #[test]
    fn an_object_with_a_pinned_map_asks_for_the_folder_of_pins() {
        let folder = std::env::temp_dir().join(format!("ebhost-pins-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let object =
            std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../bench/packages/maps/maps.bpf.o")).unwrap();
        std::fs::write(folder.join("maps.bpf.o"), &object).unwrap();
        assert!(pin_folders(&[&folder]).is_empty());
        std::fs::write(folder.join("pinned.bpf.o"), files::tests::with_pins(object)).unwrap();
        assert_eq!(pin_folders(&[&folder]), [Path::new(PIN_FOLDER)]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
