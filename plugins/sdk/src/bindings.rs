//! The contract's types and functions, generated from `wit/`. Nothing here is written by hand, and plugin authors never see it.

#![allow(clippy::all, clippy::pedantic, reason = "generated")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    unsafe_op_in_unsafe_fn,
    reason = "generated: memory passed through the canonical ABI"
)]
#![allow(unreachable_pub, unused_qualifications, missing_docs, dead_code, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit",
    world: "plugin",
    pub_export_macro: true,
    export_macro_name: "export_component",
    default_bindings_module: "ebhost_plugin::exported::bindings",
    additional_derives: [PartialEq],
});
