//! The types and functions of the optional export of spans, generated from `wit/spans`. Nothing here is written by hand.

#![allow(clippy::all, clippy::pedantic, reason = "generated")]
#![allow(
    clippy::undocumented_unsafe_blocks,
    unsafe_op_in_unsafe_fn,
    reason = "generated: memory passed through the canonical ABI"
)]
#![allow(unreachable_pub, unused_qualifications, missing_docs, dead_code, unsafe_code, reason = "generated")]

wit_bindgen::generate!({
    path: "../../wit/spans",
    world: "tracing",
    pub_export_macro: true,
    export_macro_name: "export_tracing",
    default_bindings_module: "ebhost_plugin::exported::span_bindings",
    additional_derives: [PartialEq],
});
