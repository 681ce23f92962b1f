//! The component that the host brings along: `component: builtin` in a plugin.yaml, and every drop-in configuration.
//!
//! It is loaded, confined and asked like any other. Mistakes that it finds in its configuration begin with their place in it,
//! which is found again in the file.

use std::path::{Path, PathBuf};

use super::{Artefact, Compat, Package, PackageError, file::Diagnostic, located};

/// What stands for a path.
const NAME: &str = "builtin";

const COMPONENT: &[u8] = include_bytes!("../../../plugins/builtin/builtin.wasm");

/// Between two mistakes; each begins with its place.
const NEXT: &str = "; config";

pub(super) fn is_named(component: &str) -> bool {
    component == NAME
}

pub(super) fn component() -> Artefact {
    Artefact::new(PathBuf::from(NAME), COMPONENT.to_vec())
}

impl Package {
    /// Whether its component is the host's own.
    pub fn is_builtin(&self) -> bool {
        self.component.path == Path::new(NAME)
    }

    /// What its component says is wrong with its configuration, each mistake with its line.
    pub fn mistakes(&self, refusal: &str) -> PackageError {
        let refusal = refusal.strip_prefix("config").unwrap_or(refusal);
        PackageError::Mistakes(Mistakes(refusal.split(NEXT).map(|mistake| self.mistake(mistake)).collect()))
    }

    fn mistake(&self, mistake: &str) -> Diagnostic {
        let (path, message) = mistake.split_once(": ").unwrap_or(("", mistake));
        let inside = located::steps(path.strip_prefix('.').unwrap_or(path)).unwrap_or_default();
        let outside = match self.compat {
            Compat::Native => Some(located::Step::Key("config".to_owned())),
            Compat::EbpfExporter => None,
        };
        let steps: Vec<_> = outside.into_iter().chain(inside).collect();
        Diagnostic::at(&self.file, &self.text, located::find(&self.text, &steps), message.to_owned())
    }
}

/// All that is wrong in one file.
#[derive(Debug)]
pub struct Mistakes(Vec<Diagnostic>);

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let places: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&places.join("\n"))
    }
}
