//! SDK for ebhost plugins: WebAssembly components that turn entries of BPF maps into label values and bucket indices.
//!
//! The author declares the map's structs ([`layout!`]), the metric families and the maps that feed them ([`Manifest`], [`Family`],
//! [`View`]), and writes a *row function* from an entry's identity to its label values ([`Answer`]). The identity is the part of key
//! and value that decides the labels. This crate does the rest: it implements the component's two functions, which exchange whole
//! batches with the host in columns.
//!
//! A plugin never sees a count: the host does the arithmetic. A row function must depend on nothing but the plugin's configuration, the
//! identity and the names that were looked up, because the host keeps its results and asks about each identity only once.
//!
//! The same code compiles natively: `cargo test` runs a plugin through [`testing::Harness`], without a kernel, a host or root.
//!
//! ```
//! use ebhost_plugin::{Answer, Family, Manifest, LookupNames, Plugin, View, key, layout, member, number, row};
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
//!     fn fault<'a>(&'a self, _: &'a FaultKey, [cgroup]: LookupNames<'a, 1>) -> Answer<'a, 1> {
//!         row![cgroup.ok_or(ebhost_plugin::Refusal::Skip)?]
//!     }
//! }
//!
//! ebhost_plugin::export!(Faults);
//! # fn main() {}
//! ```

mod banks;
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
pub mod log;
mod manifest;
mod span_bindings;
mod spans;
pub mod table;
pub mod testing;
pub mod text;
mod value;
mod view;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod zero_copy;

pub use banks::{Banks, FIRST_LOST, LabelledBanks, Numbers, Observations, SPILL_ENTRIES, SPILLED};
pub use bounds::{Bounds, exp2, fixed, linear};
pub use family::{Family, FamilyId, Fold};
pub use identity::{FieldSelector, KeyField, ValueField, key, key_at, value, value_at};
pub use label::{Answer, Bucket, BucketAnswer, Label, LookupName, LookupNames, Refusal};
pub use layout::{Be16, Be32, Be64, Layout, Member, Packed, bits};
pub use manifest::{Manifest, ManifestError};
pub use spans::{LabelledSpans, Span, SpanSource};
pub use value::{Counts, Integer, Value, bucket, native_slots, number, observation, one, slots};
pub use view::{LabelledView, PerfReading, Source, View};

/// A plugin. The author implements this trait and passes the type to [`export!`].
pub trait Plugin: Sized + 'static {
    /// The type of `config` in plugin.yaml. Put `#[serde(deny_unknown_fields, default)]` on it: then the host rejects a package with a
    /// misspelt key and names the key, and every key that is left out has its default.
    type Config: serde::de::DeserializeOwned;

    /// Creates the plugin from the package's configuration.
    ///
    /// # Errors
    /// A sentence for the operator: what was found, what was expected, what to try. The host then rejects the package.
    fn new(config: Self::Config) -> Result<Self, String>;

    /// The families that the plugin exposes and the views that feed them. It must be the same for the same configuration: the host may
    /// drop an instance at any time and create another one.
    fn describe(&self) -> Manifest<Self>;
}

/// The `config` of a plugin that has none: a key in it is an error.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NoConfig {}

/// The parts that [`export!`] expands to, and the contract's own types for components that do without [`View`]. Not for plugin authors.
#[doc(hidden)]
pub mod exported {
    pub mod banks {
        pub use crate::banks::{
            BANK_CHECK, BANK_HEAD, ENTRY_HEAD, LATENCY_SLOTS, LOST, NATIVE_FIRST, NATIVE_SCHEMA, NATIVE_SLOTS,
            SPILL_ENTRIES, SPILLED, check_of, lost_family, spill_entries_family, spilled_family,
        };
    }
    pub use crate::bindings::export_component;
    pub use crate::bindings::exports::ebhost::plugin::decoder::{Batch, Guest, Manifest, Rows};
    pub use crate::columns::Columns;
    pub use crate::component::{Decoder, Instance};
    pub use crate::dictionary::Dictionary;
    pub use crate::intern::Interner;
    pub use crate::layout::union_size;
    pub use crate::span_bindings::exports::ebhost::spans::spans;
    pub mod bindings {
        pub use crate::bindings::*;
    }
    pub mod span_bindings {
        pub use crate::span_bindings::*;
    }
}

/// Exports a [`Plugin`] as the component of its crate, which must be a `cdylib`. Use it once in a crate. On other targets than WebAssembly
/// it exports nothing. `export!(Plugin, spans)` exports its [spans](SpanSource) and exemplars, too.
#[macro_export]
macro_rules! export {
    ($plugin:ty $(, $spans:ident)?) => {
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
            type ZeroCopy = $crate::zero_copy::ZeroCopy<Component>;
            #[cfg(target_family = "wasm")]
    $crate::exported::export_component!(ZeroCopy with_types_in $crate::zero_copy);

            $($crate::export_the!($spans, Component, INSTANCE);)?
        };
    };
}

/// The second part of [`export!`]. Not for plugin authors.
#[doc(hidden)]
#[macro_export]
macro_rules! export_the {
    (spans, $component:ident, $instance:ident) => {
        impl $crate::exported::spans::Guest for $component {
            fn describe(_: ::std::string::String) -> ::core::result::Result<$crate::exported::spans::Manifest, ::std::string::String> {
                ::core::result::Result::Ok($instance.with(|instance| instance.describe_spans()))
            }

            fn decode(batch: $crate::exported::spans::Batch) -> $crate::exported::spans::Answer {
                $instance.with(|instance| instance.decode_spans(&batch))
            }
        }

        #[cfg(target_family = "wasm")]
        $crate::exported::span_bindings::export_tracing!($component with_types_in $crate::exported::span_bindings);
    };
}
