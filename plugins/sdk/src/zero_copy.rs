//! Returns answers to the host without copying them.
//!
//! The generated glue would allocate every label value on its own and free each of them after the host has read it, which took more
//! than half of a batch's time. So the glue gets an answer with empty columns; the real columns stay in buffers that are reused from
//! batch to batch. Pointers to them are written over the empty lists before the host reads the answer, and replaced by empty lists
//! again before the glue frees it. All `unsafe` of this crate is here.

#![allow(unsafe_code, reason = "the answer is lent to the host without a copy")]

use core::marker::PhantomData;
use std::cell::RefCell;

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::columns::Columns;
use crate::component::Decoder;

// The generated export macro expects these items at these paths. The two functions at the end of this file replace the generated ones.
pub use wit::{__export_ebhost_plugin_decoder_0_1_0_cabi, __post_return_describe, _export_describe_cabi};
pub mod exports {
    pub mod ebhost {
        pub mod plugin {
            pub use crate::zero_copy as decoder;
        }
    }
}

thread_local! {
    /// The columns of the last answer. A component has one thread, and the host finishes one call before it begins the next.
    static ANSWER: RefCell<Columns> = const { RefCell::new(Columns::new()) };
}

/// Implements the generated trait [`Guest`](wit::Guest) for the glue, with a [`Decoder`].
pub struct ZeroCopy<D>(PhantomData<D>);

impl<D: Decoder> wit::Guest for ZeroCopy<D> {
    fn describe(config: String) -> Result<wit::Manifest, String> {
        D::describe(&config)
    }

    /// Returns empty columns: [`_export_decode_cabi`] puts the real ones in their place.
    fn decode(batch: wit::Batch) -> wit::Rows {
        ANSWER.with_borrow_mut(|answer| {
            answer.clear_for(&batch);
            D::decode(&batch, answer);
            let refused = core::mem::take(&mut answer.refused);
            wit::Rows { dictionary: Vec::new(), labels: Vec::new(), buckets: Vec::new(), refused }
        })
    }
}

/// A list in the canonical ABI.
#[derive(Clone, Copy)]
#[repr(C)]
struct List {
    first: *const u8,
    length: usize,
}

/// The first members of the record `rows`: dictionary, labels, buckets.
type Lists = [List; 3];

impl List {
    fn of<T>(items: &[T]) -> Self {
        Self { first: items.as_ptr().cast(), length: items.len() }
    }
}

fn lists() -> Lists {
    ANSWER.with_borrow_mut(|answer| {
        let Columns { dictionary, labels, buckets, .. } = answer;
        [List::of(dictionary.values().into_abi_strings()), List::of(labels), List::of(buckets)]
    })
}

/// The exported function `decode`.
///
/// # Safety
/// Only the host may call it, with a batch lowered by the canonical ABI.
#[allow(clippy::too_many_arguments, reason = "the canonical ABI's flat parameters")]
pub unsafe fn _export_decode_cabi<L: wit::Guest>(
    view: i32,
    count: i32,
    identities: *mut u8,
    identities_len: usize,
    found: *mut u8,
    found_len: usize,
    names: *mut u8,
    names_len: usize,
) -> *mut u8 {
    // SAFETY: these are the host's arguments, passed on unchanged.
    let rows = unsafe {
        wit::_export_decode_cabi::<L>(view, count, identities, identities_len, found, found_len, names, names_len)
    };
    // SAFETY: `rows` points to the glue's static return area, which holds the record `rows` and is aligned for its pointers. The lists
    // that are overwritten are empty and own nothing. The new lists point into `ANSWER`, which does not change before the next call.
    unsafe { rows.cast::<Lists>().write(lists()) };
    rows
}

/// The exported function that the host calls after it has read an answer.
///
/// # Safety
/// Only the host may call it, with the pointer that `decode` returned.
pub unsafe fn __post_return_decode<L: wit::Guest>(rows: *mut u8) {
    let empty = List { first: core::ptr::dangling(), length: 0 };
    // SAFETY: `rows` is as above; without the pointers into `ANSWER`, everything left in the record is owned by the glue, which frees it.
    unsafe {
        rows.cast::<Lists>().write([empty; 3]);
        wit::__post_return_decode::<L>(rows);
    }
}
