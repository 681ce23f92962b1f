//! C structs as BPF programs lay them out: sizes, offsets, padding. Little endian, with 64-bit integers aligned to 8 bytes, as on every
//! host of contract 0.1. Bytes are parsed into values, never cast: there is no `unsafe` here or in a plugin.

use core::marker::PhantomData;

const _: () =
    assert!(align_of::<u64>() == 8, "u64 must be aligned as in BPF programs, to 8 bytes: try a 64-bit target");

/// A type that can be read from identity bytes: its values one after the other, without padding.
pub trait Packed: Copy + 'static {
    /// Size in bytes, without padding.
    const PACKED: usize;

    /// Reads a value from the first [`PACKED`](Self::PACKED) bytes.
    ///
    /// # Panics
    /// If there are fewer bytes.
    fn unpack(packed: &[u8]) -> Self;
}

/// A type with a layout in C: integers, arrays, and structs made by [`layout!`](crate::layout!).
pub trait Layout: Packed {
    /// Size in bytes in C, with padding.
    const SIZE: usize = size_of::<Self>();

    /// Appends the byte ranges that hold its values, without padding, as (offset, length). `base` is the offset of this value in the
    /// outermost struct and is added to each offset.
    fn runs(base: u32, runs: &mut Vec<(u32, u32)>);
}

/// The position of a `T` in a struct `S`; made by [`member!`](crate::member!), so that no offset is written by hand.
pub struct Member<S, T> {
    pub(crate) offset: u32,
    shape: PhantomData<fn(&S) -> &T>,
}

impl<S, T> Clone for Member<S, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S, T> Copy for Member<S, T> {}

impl<S> Member<S, S> {
    /// The whole value.
    pub const fn whole() -> Self {
        Self { offset: 0, shape: PhantomData }
    }
}

impl<S, T> Member<S, T> {
    /// From an offset and a function that proves the member's type. For [`member!`](crate::member!) only.
    #[doc(hidden)]
    pub const fn new(offset: usize, _: fn(&S) -> &T) -> Self {
        Self { offset: offset as u32, shape: PhantomData }
    }
}

impl<S, T: Layout, const N: usize> Member<S, [T; N]> {
    /// One element of an array member, from 0.
    ///
    /// # Panics
    /// If `index` is not in the array.
    pub const fn element(self, index: usize) -> Member<S, T> {
        assert!(index < N, "the array has no element with this index");
        Member { offset: self.offset + (index * size_of::<T>()) as u32, shape: PhantomData }
    }
}

macro_rules! integers {
    ($($int:ty),+) => {$(
        impl Packed for $int {
            const PACKED: usize = size_of::<$int>();

            #[inline(always)]
            fn unpack(packed: &[u8]) -> Self {
                let mut bytes = [0; size_of::<$int>()];
                bytes.copy_from_slice(&packed[..size_of::<$int>()]);
                Self::from_le_bytes(bytes)
            }
        }

        impl Layout for $int {
            fn runs(base: u32, runs: &mut Vec<(u32, u32)>) {
                runs.push((base, Self::SIZE as u32));
            }
        }
    )+};
}

integers!(u8, i8, u16, i16, u32, i32, u64, i64);

impl<T: Packed, const N: usize> Packed for [T; N] {
    const PACKED: usize = N * T::PACKED;

    #[inline(always)]
    fn unpack(packed: &[u8]) -> Self {
        let packed = &packed[..Self::PACKED];
        core::array::from_fn(|i| T::unpack(&packed[i * T::PACKED..]))
    }
}

impl<T: Layout, const N: usize> Layout for [T; N] {
    fn runs(base: u32, runs: &mut Vec<(u32, u32)>) {
        for i in 0..N {
            T::runs(base + (i * T::SIZE) as u32, runs);
        }
    }
}

/// The key of an event, and the identity of entries that all have the same labels.
impl Packed for () {
    const PACKED: usize = 0;

    #[inline(always)]
    fn unpack(_: &[u8]) -> Self {}
}

impl Layout for () {
    fn runs(_: u32, _: &mut Vec<(u32, u32)>) {}
}

/// An identity made of two parts, such as one of the key and one of the value.
impl<A: Packed, B: Packed> Packed for (A, B) {
    const PACKED: usize = A::PACKED + B::PACKED;

    #[inline(always)]
    fn unpack(packed: &[u8]) -> Self {
        let (first, second) = packed.split_at(A::PACKED);
        (A::unpack(first), B::unpack(second))
    }
}

/// Declares a struct of a BPF program: the same members in the same order, `#[repr(C)]`. A stated size is checked at compile time.
///
/// Padding is never part of an identity: entries that differ only in padding have the same labels.
///
/// ```
/// ebhost_plugin::layout! {
///     /// `struct key` in cachestat.bpf.c: one byte, three of padding, one word.
///     struct Key: 8 bytes {
///         op: u8,
///         page: u32,
///     }
/// }
/// ```
/// ```compile_fail
/// ebhost_plugin::layout! { struct Key: 5 bytes { op: u8, page: u32 } }
/// ```
#[macro_export]
macro_rules! layout {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident $(: $size:literal bytes)? {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $ty),+
        }

        $(const _: () = assert!(
            ::core::mem::size_of::<$name>() == $size,
            concat!("`", stringify!($name), "` does not have the stated size: compare its members with those of the C struct"),
        );)?

        impl $crate::Packed for $name {
            const PACKED: usize = 0 $(+ <$ty as $crate::Packed>::PACKED)+;

            #[inline(always)]
            fn unpack(packed: &[u8]) -> Self {
                $(let ($field, packed) = packed.split_at(<$ty as $crate::Packed>::PACKED);)+
                let _ = packed;
                Self { $($field: <$ty as $crate::Packed>::unpack($field)),+ }
            }
        }

        impl $crate::Layout for $name {
            fn runs(base: u32, runs: &mut ::std::vec::Vec<(u32, u32)>) {
                $(<$ty as $crate::Layout>::runs(base + ::core::mem::offset_of!($name, $field) as u32, runs);)+
            }
        }
    };
}

/// The [`Member`](crate::Member) with this name: `member!(Bank.head.device)`. With a type alone, the whole value: `member!(u64)`.
#[macro_export]
macro_rules! member {
    ($struct:ident . $($field:ident).+) => {
        $crate::Member::new(::core::mem::offset_of!($struct, $($field).+), |all: &$struct| &all.$($field).+)
    };
    ($struct:ty) => {
        $crate::Member::<$struct, $struct>::whole()
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::layout! {
        struct Inner: 8 bytes { op: u8, page: u32 }
    }

    crate::layout! {
        struct Outer: 40 bytes { id: u16, inner: Inner, total: u64, comm: [u8; 5], cells: [u16; 3] }
    }

    #[test]
    fn runs_leave_padding_out() {
        let mut runs = Vec::new();
        Inner::runs(100, &mut runs);
        assert_eq!(runs, [(100, 1), (104, 4)]);
        assert_eq!((Inner::SIZE, Inner::PACKED), (8, 5));
        assert_eq!((Outer::SIZE, Outer::PACKED), (40, 2 + 5 + 8 + 5 + 6));
    }

    #[test]
    fn members_have_the_offsets_of_c() {
        let page: Member<Outer, u32> = member!(Outer.inner.page);
        assert_eq!(page.offset, 8);
        assert_eq!(member!(Outer.total).offset, 16);
        assert_eq!(member!(Outer.cells).element(2).offset, 34);
        assert_eq!(member!(u64).offset, 0);
    }

    #[test]
    fn values_are_read_little_endian_and_without_padding() {
        let inner = Inner::unpack(&[7, 1, 2, 3, 4]);
        assert_eq!(inner, Inner { op: 7, page: 0x0403_0201 });
        assert_eq!(<(u8, i16)>::unpack(&[1, 0xfe, 0xff]), (1, -2));
        assert_eq!(<[u16; 2]>::unpack(&[1, 0, 2, 0]), [1, 2]);
    }
}
