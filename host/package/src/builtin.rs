//! The component inside the host: `component: builtin` in a plugin.yaml, and every drop-in configuration.
//!
//! It is loaded, confined and asked like any other. A mistake that it finds in its configuration begins with the path of the key,
//! which is turned into a line of the file here.

use std::path::{Path, PathBuf};

use super::{Artefact, Compat, Diagnostic, Package, PackageError, located};

/// The name that stands for its path.
const NAME: &str = "builtin";

const COMPONENT: &[u8] = include_bytes!("../../../plugins/builtin/builtin.wasm");

/// The separator between two mistakes; each begins with the path of a key.
const NEXT: &str = "; config";

/// Whether this is the `component:` of a package that uses it.
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

    /// The mistakes that its component finds in its configuration, each with its line.
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

/// All mistakes in one file.
#[derive(Debug)]
pub struct Mistakes(Vec<Diagnostic>);

impl std::fmt::Display for Mistakes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mistakes: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&mistakes.join("\n"))
    }
}
