//! Writes ebhost plugins: components that give entries of BPF maps their labels and buckets.
//!
//! An author describes the map's structs ([`layout!`]), says what is shown and read ([`Manifest`]), and writes a function
//! from an entry's identity to its label values ([`Answer`]). The columns that cross the sandbox's boundary stay inside this
//! crate. It never sees a count: the host does the arithmetic. It has no state between entries, so that the host may keep
//! every answer.
//!
//! The same code compiles natively: `cargo test` runs a plugin through [`testing::Harness`], without a kernel, a host or root.
//!
//! ```
//! use ebhost_plugin::{Answer, Family, Manifest, Names, Plugin, View, key, layout, member, number, row};
//!
//! layout! {
//!     /// `struct fault_key` in faults.bpf.c.
//!     struct FaultKey: 8 bytes {
//!         cgroup: u64,
//!     }
//! }
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields, default)]
//! struct Config {}
//! # impl Default for Config { fn default() -> Self { Config {} } }
//!
//! struct Faults;
//!
//! impl Plugin for Faults {
//!     type Config = Config;
//!
//!     fn new(_: Config) -> Result<Self, String> {
//!         Ok(Faults)
//!     }
//!
//!     fn describe(&self) -> Manifest<Self> {
//!         let mut manifest = Manifest::new();
//!         let faults = manifest
//!             .family(Family::counter("page_faults_total").help("Page faults of user space.").labels(["cgroup"]));
//!         manifest.view(
//!             View::table::<FaultKey, u64>("faults")
//!                 .identity(key())
//!                 .lookup("cgroup", key())
//!                 .feed(faults, number(member!(u64)))
//!                 .rows(Self::fault),
//!         );
//!         manifest
//!     }
//! }
//!
//! impl Faults {
//!     fn fault<'a>(&'a self, _: &'a FaultKey, [cgroup]: Names<'a, 1>) -> Answer<'a, 1> {
//!         row![cgroup.ok_or(ebhost_plugin::Refusal::Skip)?]
//!     }
//! }
//!
//! ebhost_plugin::export!(Faults);
//! # fn main() {}
//! ```

mod bindings;
mod bounds;
mod columns;
mod component;
mod dictionary;
mod digits;
mod family;
mod identity;
mod intern;
mod label;
mod layout;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod lent;
pub mod log;
mod manifest;
pub mod table;
pub mod testing;
pub mod text;
mod value;
mod view;

pub use bounds::{Bounds, exp2, fixed, linear};
pub use family::{Family, FamilyId, Fold};
pub use identity::{Pick, key, key_at, value, value_at};
pub use label::{Answer, Bucket, BucketAnswer, Label, Name, Names, Refusal};
pub use layout::{Layout, Member, Packed};
pub use manifest::{Manifest, Mistake};
pub use value::{Counts, Integer, Value, bucket, native_slots, number, observation, one, slots};
pub use view::{PerfReading, Reading, Source, View};

/// One plugin: what an author implements and hands to [`export!`].
pub trait Plugin: Sized + 'static {
    /// The package's `config`. Put `#[serde(deny_unknown_fields, default)]` on it: then a misspelt key refuses the package, by
    /// its name, and each key that is left out has its default.
    type Config: serde::de::DeserializeOwned;

    /// Takes the configuration.
    ///
    /// # Errors
    /// A sentence for the operator, which refuses the package: what was found, what was expected, what to try.
    fn new(config: Self::Config) -> Result<Self, String>;

    /// What the plugin shows and reads. Of one configuration always the same: the host makes and drops instances as it likes.
    fn describe(&self) -> Manifest<Self>;
}

/// What [`export!`] expands to. Not for authors.
#[doc(hidden)]
pub mod exported {
    pub use crate::bindings::export_component;
    pub use crate::bindings::exports::ebhost::plugin::decoder::{Batch, Guest, Manifest, Rows};
    pub use crate::columns::Columns;
    pub use crate::component::{Decoder, Instance};
    pub use crate::dictionary::Dictionary;
    pub use crate::intern::Interner;
    pub mod bindings {
        pub use crate::bindings::*;
    }
}

/// Makes a crate the component of one [`Plugin`]. Once a crate, which is a `cdylib`; on other targets than wasm it exports nothing.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        const _: () = {
            ::std::thread_local! {
                static INSTANCE: $crate::exported::Instance<$plugin> = const { $crate::exported::Instance::new() };
            }

            struct Component;

            impl $crate::exported::Decoder for Component {
                fn describe(config: &str) -> ::core::result::Result<$crate::exported::Manifest, ::std::string::String> {
                    INSTANCE.with(|instance| instance.describe(config))
                }

                fn decode(batch: &$crate::exported::Batch, answer: &mut $crate::exported::Columns) {
                    INSTANCE.with(|instance| instance.decode(batch, answer));
                }
            }

            #[cfg(target_family = "wasm")]
            type Lending = $crate::lent::Lending<Component>;
            #[cfg(target_family = "wasm")]
    $crate::exported::export_component!(Lending with_types_in $crate::lent);
        };
    };
}
