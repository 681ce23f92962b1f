//! How an answer leaves the sandbox: lent, not given away.
//!
//! The generated glue makes every label value an allocation of its own and frees each of them when the host has read it, which
//! was more than half of a batch's time. So what it is given has empty columns; the true ones are written over them, lie in
//! buffers that are kept, and are taken out again before the glue frees what it lent. All of this crate's `unsafe` is here.

use core::marker::PhantomData;
use std::cell::RefCell;

use crate::bindings::exports::ebhost::plugin::decoder as wit;
use crate::columns::Columns;
use crate::component::Decoder;

// What the generated export macro looks for, where it looks for it; the other half of it are the two functions below.
pub use wit::{__export_ebhost_plugin_decoder_0_1_0_cabi, __post_return_describe, _export_describe_cabi};
pub mod exports {
    pub mod ebhost {
        pub mod plugin {
            pub use crate::lent as decoder;
        }
    }
}

thread_local! {
    /// A component has one thread, and its host ends one call before it begins the next.
    static ANSWER: RefCell<Columns> = const { RefCell::new(Columns::new()) };
}

/// What the generated glue calls, as the `L` of the functions below.
pub struct Lending<D>(PhantomData<D>);

impl<D: Decoder> wit::Guest for Lending<D> {
    fn describe(config: String) -> Result<wit::Manifest, String> {
        D::describe(&config)
    }

    /// Without the columns: see [`lend`].
    fn decode(batch: wit::Batch) -> wit::Rows {
        ANSWER.with_borrow_mut(|answer| {
            answer.begin(&batch);
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

/// The record `rows` begins with these lists: dictionary, labels, buckets.
type Lists = [List; 3];

impl List {
    fn of<T>(items: &[T]) -> Self {
        Self { first: items.as_ptr().cast(), length: items.len() }
    }
}

fn lists() -> Lists {
    ANSWER.with_borrow_mut(|answer| {
        let Columns { dictionary, labels, buckets, .. } = answer;
        [List::of(dictionary.values().addressed()), List::of(labels), List::of(buckets)]
    })
}

/// The component function `decode`.
///
/// # Safety
/// To be called by the host alone, with a batch lowered by the canonical ABI.
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
    // SAFETY: the host's own arguments, passed on.
    let rows = unsafe {
        wit::_export_decode_cabi::<L>(view, count, identities, identities_len, found, found_len, names, names_len)
    };
    // SAFETY: `rows` is the glue's own place for the record of that name, aligned to its pointers; the lists in it that this
    // overwrites are empty and own nothing. What the new ones point to lives in `ANSWER` and is not touched before the next call.
    unsafe { rows.cast::<Lists>().write(lists()) };
    rows
}

/// What the host calls when it has read an answer.
///
/// # Safety
/// To be called by the host alone, with what `decode` returned.
pub unsafe fn __post_return_decode<L: wit::Guest>(rows: *mut u8) {
    let empty = List { first: core::ptr::dangling(), length: 0 };
    // SAFETY: as above; with the lists that were lent taken out, what is left is the glue's to free.
    unsafe {
        rows.cast::<Lists>().write([empty; 3]);
        wit::__post_return_decode::<L>(rows);
    }
}
