//! The size of a component in the host's memory, found by reading its sections before anything is compiled.
//!
//! A few kilobytes of nested components can be ten million instances, and a global costs as much in each of sixty instances. So the
//! sections are read as an instantiation would use them: what a nested component contains counts once for each instance of it. A component
//! or module that is instantiated without being defined in the file has no known size, and no toolchain makes one; it is refused.
//!
//! Nothing is validated here: that is the compiler's task. Whatever is read is only added up.

use wasmparser::{
    ComponentAlias, ComponentExternalKind, ComponentInstance, ComponentOuterAliasKind, ComponentTypeRef, Instance,
    Parser, Payload,
};

use ebhost_limits as limits;

/// The sizes of one component.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Footprint {
    /// Bytes of function bodies, which compiling takes time and memory for.
    pub(crate) code_bytes: usize,
    /// Bytes of data segments, which are part of the compiled form.
    pub(crate) data_bytes: usize,
    /// Bytes of types, imports, exports, elements and the like in the file, whether something instantiates them or not.
    pub(crate) metadata_bytes: usize,
    /// The parts that count once for each instance.
    pub(crate) instantiated: Instantiated,
}

/// Sizes of all instances together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Instantiated {
    /// Instances of components and of core modules.
    pub(crate) instances: usize,
    /// Bytes of types, imports, exports, elements and the like, which the host keeps records of.
    pub(crate) metadata_bytes: usize,
    /// Bytes of the contexts of core instances: globals, and what imports, functions and tables take beside their contents.
    pub(crate) context_bytes: usize,
}

/// Why the size of a component is not acceptable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FootprintError {
    #[error("{0}")]
    Unreadable(String),
    #[error(
        "it instantiates a {0} that it imports, or takes from an instance, so that its size is not known; try one that the file defines"
    )]
    Unknown(&'static str),
    #[error("found {found} {what}, expected at most {expected}; {hint}")]
    TooLarge { what: &'static str, found: usize, expected: usize, hint: &'static str },
}

impl Footprint {
    /// Reads a component, and checks it against the limits that do not depend on its package.
    ///
    /// # Errors
    /// The bytes are not sections, or it is too large.
    pub(crate) fn read(component: &[u8]) -> Result<Self, FootprintError> {
        let footprint = read(component)?;
        let (instances, metadata_bytes) = (footprint.instantiated.instances, footprint.metadata_bytes());
        if instances > limits::INSTANCES {
            let hint = "nested components and modules count once for each instance of them";
            let what = "instances of components and modules";
            return Err(FootprintError::TooLarge { what, found: instances, expected: limits::INSTANCES, hint });
        }
        if metadata_bytes > limits::METADATA_BYTES {
            let hint = "try fewer or shorter types, imports, exports and elements";
            let what = "bytes of types, names and tables of functions";
            return Err(FootprintError::TooLarge {
                what,
                found: metadata_bytes,
                expected: limits::METADATA_BYTES,
                hint,
            });
        }
        Ok(footprint)
    }

    /// Bytes of records that the host keeps: those of the file, or of its instances if that is more.
    pub(crate) fn metadata_bytes(&self) -> usize {
        self.metadata_bytes.max(self.instantiated.metadata_bytes)
    }

    /// The most bytes that its compiled form may have.
    pub(crate) fn compiled_limit(&self) -> usize {
        let code = self.code_bytes.saturating_mul(limits::COMPILED_BYTES_PER_CODE_BYTE);
        limits::COMPILED_BYTES.saturating_add(self.data_bytes).saturating_add(code).min(limits::MOST_COMPILED_BYTES)
    }
}

impl Instantiated {
    fn add(&mut self, other: Self) {
        self.instances = self.instances.saturating_add(other.instances);
        self.metadata_bytes = self.metadata_bytes.saturating_add(other.metadata_bytes);
        self.context_bytes = self.context_bytes.saturating_add(other.context_bytes);
    }
}

/// A module or component that is being read.
struct Scope {
    kind: ScopeKind,
    /// Bytes of its own records.
    metadata_bytes: usize,
    /// The cost of one instance.
    size: Instantiated,
    /// By index: what one instance of each core module takes; `None` where it is not known.
    modules: Vec<Option<Instantiated>>,
    /// The same of components.
    components: Vec<Option<Instantiated>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ScopeKind {
    Module,
    Component,
}

// Bytes of a core instance's context, for each of its parts, rounded up.
const CONTEXT_BYTES: usize = 512;
const GLOBAL_BYTES: usize = 16;
const IMPORT_BYTES: usize = 72;
const FUNCTION_BYTES: usize = 32;
const TABLE_BYTES: usize = 256;
const SEGMENT_BYTES: usize = 32;

impl Scope {
    fn new(kind: ScopeKind) -> Self {
        let context_bytes = if kind == ScopeKind::Module { CONTEXT_BYTES } else { 0 };
        let size = Instantiated { instances: 1, metadata_bytes: 0, context_bytes };
        Self { kind, metadata_bytes: 0, size, modules: Vec::new(), components: Vec::new() }
    }

    fn metadata(&mut self, bytes: usize) {
        self.metadata_bytes = self.metadata_bytes.saturating_add(bytes);
        self.size.metadata_bytes = self.size.metadata_bytes.saturating_add(bytes);
    }

    /// Parts of a core module's context.
    fn context(&mut self, count: u32, bytes: usize) {
        self.size.context_bytes = self.size.context_bytes.saturating_add((count as usize).saturating_mul(bytes));
    }
}

fn unreadable(error: impl std::fmt::Display) -> FootprintError {
    FootprintError::Unreadable(error.to_string())
}

fn read(component: &[u8]) -> Result<Footprint, FootprintError> {
    let mut footprint = Footprint::default();
    let mut scopes: Vec<Scope> = Vec::new();
    // The kind of the scope whose header comes next.
    let mut next = ScopeKind::Component;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload.map_err(unreadable)?;
        match &payload {
            Payload::Version { .. } => scopes.push(Scope::new(next)),
            Payload::ModuleSection { .. } => next = ScopeKind::Module,
            Payload::ComponentSection { .. } => next = ScopeKind::Component,
            Payload::CodeSectionStart { size, .. } => {
                footprint.code_bytes = footprint.code_bytes.saturating_add(*size as usize);
            }
            Payload::DataSection(data) => {
                footprint.data_bytes = footprint.data_bytes.saturating_add(data.range().len());
                if let Some(scope) = scopes.last_mut() {
                    // A segment of no bytes is a record, too.
                    scope.metadata(data.count() as usize * 4);
                    scope.context(data.count(), SEGMENT_BYTES);
                }
            }
            Payload::End(_) => {
                let Some(scope) = scopes.pop() else { break };
                footprint.metadata_bytes = footprint.metadata_bytes.saturating_add(scope.metadata_bytes);
                match (scopes.last_mut(), scope.kind) {
                    (None, _) => footprint.instantiated = scope.size,
                    (Some(outer), ScopeKind::Module) => outer.modules.push(Some(scope.size)),
                    (Some(outer), ScopeKind::Component) => outer.components.push(Some(scope.size)),
                }
            }
            other => section(other, &mut scopes)?,
        }
    }
    Ok(footprint)
}

/// Adds a section to the innermost scope.
fn section(payload: &Payload<'_>, scopes: &mut [Scope]) -> Result<(), FootprintError> {
    let Some((scope, outer)) = scopes.split_last_mut() else { return Ok(()) };
    match payload {
        Payload::InstanceSection(instances) => {
            scope.metadata(instances.range().len());
            for instance in instances.clone() {
                if let Instance::Instantiate { module_index, .. } = instance.map_err(unreadable)? {
                    let size = known(&scope.modules, module_index, "core module")?;
                    scope.size.add(size);
                }
            }
        }
        Payload::ComponentInstanceSection(instances) => {
            scope.metadata(instances.range().len());
            for instance in instances.clone() {
                if let ComponentInstance::Instantiate { component_index, .. } = instance.map_err(unreadable)? {
                    let size = known(&scope.components, component_index, "component")?;
                    scope.size.add(size);
                }
            }
        }
        Payload::ComponentAliasSection(aliases) => {
            scope.metadata(aliases.range().len());
            for alias in aliases.clone() {
                add_alias(&alias.map_err(unreadable)?, scope, outer);
            }
        }
        Payload::ComponentImportSection(imports) => {
            scope.metadata(imports.range().len());
            for import in imports.clone() {
                match import.map_err(unreadable)?.ty {
                    ComponentTypeRef::Module(_) => scope.modules.push(None),
                    ComponentTypeRef::Component(_) => scope.components.push(None),
                    _ => {}
                }
            }
        }
        Payload::ComponentExportSection(exports) => {
            scope.metadata(exports.range().len());
            for export in exports.clone() {
                let export = export.map_err(unreadable)?;
                // An exported item gets another index.
                match export.kind {
                    ComponentExternalKind::Module => scope.modules.push(at(&scope.modules, export.index)),
                    ComponentExternalKind::Component => scope.components.push(at(&scope.components, export.index)),
                    _ => {}
                }
            }
        }
        Payload::CoreTypeSection(section) => scope.metadata(section.range().len()),
        Payload::ComponentTypeSection(section) => scope.metadata(section.range().len()),
        Payload::ComponentCanonicalSection(section) => scope.metadata(section.range().len()),
        other => module_section(other, scope),
    }
    Ok(())
}

/// Adds a section of a core module.
fn module_section(payload: &Payload<'_>, scope: &mut Scope) {
    let (range, count, bytes) = match payload {
        Payload::TypeSection(section) => (section.range(), section.count(), 0),
        Payload::ImportSection(section) => (section.range(), section.count(), IMPORT_BYTES),
        Payload::FunctionSection(section) => (section.range(), section.count(), FUNCTION_BYTES),
        Payload::TableSection(section) => (section.range(), section.count(), TABLE_BYTES),
        Payload::MemorySection(section) => (section.range(), section.count(), TABLE_BYTES),
        Payload::TagSection(section) => (section.range(), section.count(), GLOBAL_BYTES),
        Payload::GlobalSection(section) => (section.range(), section.count(), GLOBAL_BYTES),
        Payload::ExportSection(section) => (section.range(), section.count(), 0),
        Payload::ElementSection(section) => (section.range(), section.count(), SEGMENT_BYTES),
        _ => return,
    };
    scope.metadata(range.len());
    scope.context(count, bytes);
}

fn add_alias(alias: &ComponentAlias<'_>, scope: &mut Scope, outer: &[Scope]) {
    match alias {
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. } => scope.modules.push(None),
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Component, .. } => scope.components.push(None),
        ComponentAlias::Outer { kind: ComponentOuterAliasKind::CoreModule, count, index } => {
            let found = enclosing(scope, outer, *count).and_then(|scope| at(&scope.modules, *index));
            scope.modules.push(found);
        }
        ComponentAlias::Outer { kind: ComponentOuterAliasKind::Component, count, index } => {
            let found = enclosing(scope, outer, *count).and_then(|scope| at(&scope.components, *index));
            scope.components.push(found);
        }
        _ => {}
    }
}

/// The scope that lies so many levels outside of `scope`; 0: itself.
fn enclosing<'a>(scope: &'a Scope, outer: &'a [Scope], count: u32) -> Option<&'a Scope> {
    match count {
        0 => Some(scope),
        count => outer.len().checked_sub(count as usize).map(|at| &outer[at]),
    }
}

fn at(sizes: &[Option<Instantiated>], index: u32) -> Option<Instantiated> {
    sizes.get(index as usize).copied().flatten()
}

fn known(sizes: &[Option<Instantiated>], index: u32, what: &'static str) -> Result<Instantiated, FootprintError> {
    at(sizes, index).ok_or(FootprintError::Unknown(what))
}

#[cfg(test)]
mod tests;
