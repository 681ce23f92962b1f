//! The map that programs read USDT arguments from (`__bpf_usdt_specs` of libbpf's `usdt.bpf.h`).

use std::collections::HashMap;

use super::{
    super::probe::{SPEC_ARGUMENTS, UsdtSite},
    AttachError,
};
use crate::sys::KernelMap;

/// The map of specs, and the specs that were written into it.
#[derive(Debug)]
pub(crate) struct UsdtSpecs<'a> {
    map: &'a KernelMap,
    ids: HashMap<Vec<u8>, u32>,
}

impl<'a> UsdtSpecs<'a> {
    /// The name of the map in an object.
    pub(crate) const MAP: &'static str = "__bpf_usdt_specs";

    pub(crate) fn new(map: &'a KernelMap) -> Self {
        Self { map, ids: HashMap::new() }
    }

    /// The index of a site's spec in the map: sites with the same arguments share one.
    pub(super) fn id_of(&mut self, site: &UsdtSite) -> Result<u32, AttachError> {
        if let Some(id) = self.ids.get(&site.spec) {
            return Ok(*id);
        }
        let id = self.ids.len() as u32;
        let (size, room) = (self.map.entry_size(), self.map.shape().max_entries);
        if id >= room || site.spec.len() > size {
            let why = format!(
                "its map `{}` has room for {room} specs of {size} bytes, expected more of {} (of {SPEC_ARGUMENTS} arguments)",
                Self::MAP,
                site.spec.len()
            );
            return Err(AttachError::Absent(why));
        }
        let mut value = site.spec.clone();
        value.resize(size, 0);
        self.map
            .update(&id.to_le_bytes(), &value)
            .map_err(|error| AttachError::refused(format!("its map `{}` cannot be written", Self::MAP), error))?;
        self.ids.insert(site.spec.clone(), id);
        Ok(id)
    }
}
