//! Components: guest crates compiled for wasm32, linked into components, sealed with the digest of their sources. One version of the
//! compiler gives the same bytes in any folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::Built;
use crate::error::{Error, Result};
use crate::package::Artefact;
use crate::process::{cargo, run};
use crate::toolchain::{TARGET, Toolchain};
use crate::{digest, seal};

/// The only interface that a component may import.
pub(crate) const LOG: &str = "ebhost:plugin/log@0.1.0";

/// Cargo's profile for components, in the workspace's Cargo.toml.
const PROFILE: &str = "component";
/// Section number of a component's imports, and the byte that marks an imported instance.
const IMPORTS: u8 = 10;
const INSTANCE: u8 = 5;

/// Compiles guest crates below `target/components`; returns the sealed components.
pub(crate) fn build<'a>(root: &Path, components: &[&'a Artefact]) -> Result<Vec<Built<'a>>> {
    let target = root.join("target/components");
    let toolchain = Toolchain::find()?;
    let mut compile = compile(root, &toolchain, &target)?;
    for component in components {
        compile.args(["--package", &component.name]);
    }
    run(&mut compile)?;
    components.iter().map(|component| finish(root, &target, component)).collect()
}

fn compile(root: &Path, toolchain: &Toolchain, target: &Path) -> Result<Command> {
    let mut command = cargo();
    command.current_dir(root).args(["build", "--locked", "--profile", PROFILE, "--target", TARGET]);
    command.env("CARGO_TARGET_DIR", target);
    command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", toolchain.linkers.join("wasm-component-ld"));
    command.env("CARGO_ENCODED_RUSTFLAGS", flags(root, toolchain).join("\x1f"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = [toolchain.linkers.join("gcc-ld")].into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).unwrap_or(path.clone()));
    if let Some(rustc) = &toolchain.rustc {
        command.env("RUSTC", rustc).env("RUSTC_BOOTSTRAP", "1").args(["-Z", "build-std=std,panic_abort"]);
    }
    Ok(command)
}

/// Compiler flags, among them those that keep this machine's paths out of the component.
fn flags(root: &Path, toolchain: &Toolchain) -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cargo"));
    let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    let mut flags = vec!["-Clinker-flavor=wasm-ld".into()];
    flags.extend(toolchain.sources.iter().map(|sources| remap(sources, "/rust")));
    flags.extend([remap(&home.join("registry/src"), "/crates"), remap(root, "/ebhost")]);
    flags
}

/// Checks the imports of the component that cargo built, and seals it.
fn finish<'a>(root: &Path, target: &Path, component: &'a Artefact) -> Result<Built<'a>> {
    let path = target.join(TARGET).join(PROFILE).join(component.name.replace('-', "_") + ".wasm");
    let mut bytes = fs::read(&path).map_err(Error::file(&path))?;
    let imports = imports(&bytes).map_err(|why| Error::Format { path, why })?;
    if let Some(found) = imports.into_iter().find(|import| import != LOG) {
        return Err(Error::Import { component: component.path.clone(), found });
    }
    seal::append(&mut bytes, &digest::of(root, component)?);
    Ok(Built { artefact: component, bytes })
}

/// The names of a component's imports. Stops at one that is not an instance, which is not allowed anyway.
fn imports(component: &[u8]) -> core::result::Result<Vec<String>, String> {
    const LAYER: usize = 6; // the byte that distinguishes a component from a core module
    if component.get(LAYER) != Some(&1) {
        return Err("is a core module, expected a component: try a linker that makes one, wasm-component-ld".into());
    }
    let mut names = Vec::new();
    for (_, content) in seal::sections(component)?.into_iter().filter(|(id, _)| *id == IMPORTS) {
        let mut rest = content;
        for _ in 0..seal::read_leb128(&mut rest)? {
            rest = rest.get(1..).ok_or("is truncated in an import")?; // the kind of the name
            let name = String::from_utf8_lossy(seal::read_name(&mut rest)?).into_owned();
            let [INSTANCE, after @ ..] = rest else { return Ok(vec![name + " (not an interface)"]) };
            rest = after;
            seal::read_leb128(&mut rest)?;
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn component(imports: &[u8]) -> Vec<u8> {
        let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
        bytes.extend([IMPORTS, imports.len() as u8]);
        bytes.extend(imports);
        bytes
    }

    #[test]
    fn imports_are_read_by_name() {
        assert_eq!(
            imports(&component(b"\x02\x00\x01a\x05\x00\x01\x02bc\x05\x81\x01")),
            Ok(vec!["a".into(), "bc".into()])
        );
        assert_eq!(imports(&component(b"\x01\x00\x01f\x01\x00")), Ok(vec!["f (not an interface)".into()]));
        assert!(imports(b"\0asm\x01\0\0\0").is_err_and(|why| why.starts_with("is a core module")));
    }
}
