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

/// A type with a layout in C: integers, arrays, and structs and unions made by [`layout!`](crate::layout!).
pub trait Layout: Packed {
    /// Size in bytes in C, with padding.
    const SIZE: usize = size_of::<Self>();

    /// Reads a value from its bytes in C, with padding.
    ///
    /// # Panics
    /// If there are fewer than [`SIZE`](Self::SIZE) bytes.
    fn read(bytes: &[u8]) -> Self;

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
    pub const fn new(offset: usize, _: fn(S) -> T) -> Self {
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
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                Self::unpack(bytes)
            }

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
    #[inline(always)]
    fn read(bytes: &[u8]) -> Self {
        let bytes = &bytes[..Self::SIZE];
        core::array::from_fn(|i| T::read(&bytes[i * T::SIZE..]))
    }

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
    fn read(_: &[u8]) -> Self {}

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
///
/// `packed struct` is one with `__attribute__((packed))`, without padding. `union` has its members at one place: each is a method
/// that reads it, and all bytes are part of an identity, so a program has to set those that it does not use to zero.
///
/// ```
/// use ebhost_plugin::{Be16, layout};
///
/// layout! {
///     /// `union address` in tcp.bpf.c.
///     union Address: 16 bytes { v4: [u8; 4], v6: [u8; 16] }
/// }
///
/// layout! {
///     /// `struct peer` in tcp.bpf.c.
///     packed struct Peer: 19 bytes { family: u8, port: Be16, address: Address }
/// }
///
/// fn is_loopback(peer: &Peer) -> bool {
///     peer.family == 2 && peer.address.v4()[0] == 127
/// }
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

        $crate::layout_of_struct!($name $(: $size)? { $($field: $ty),+ });
    };
    (
        $(#[$meta:meta])*
        $vis:vis packed struct $name:ident $(: $size:literal bytes)? {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[repr(C, packed)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis struct $name {
            $($(#[$field_meta])* $field_vis $field: $ty),+
        }

        $crate::layout_of_struct!($name $(: $size)? { $($field: $ty),+ });
    };
    (
        $(#[$meta:meta])*
        $vis:vis union $name:ident $(: $size:literal bytes)? {
            $($(#[$field_meta:meta])* $field_vis:vis $field:ident : $ty:ty),+ $(,)?
        }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis struct $name {
            /// No bytes; makes the alignment that of the most aligned member.
            alignment: [($($ty,)+); 0],
            bytes: [u8; $crate::exported::union_size(
                &[$(::core::mem::size_of::<$ty>()),+],
                &[$(::core::mem::align_of::<$ty>()),+],
            )],
        }

        $(const _: () = assert!(
            ::core::mem::size_of::<$name>() == $size,
            concat!("`", stringify!($name), "` does not have the stated size: compare its members with those of the C union"),
        );)?

        impl $name {
            $($(#[$field_meta])* #[allow(dead_code, reason = "a union has members that one does not read")]
            #[inline]
            $field_vis fn $field(self) -> $ty {
                <$ty as $crate::Layout>::read(&self.bytes)
            })+
        }

        impl $crate::Packed for $name {
            const PACKED: usize = ::core::mem::size_of::<Self>();

            #[inline(always)]
            fn unpack(packed: &[u8]) -> Self {
                Self { alignment: [], bytes: $crate::Packed::unpack(packed) }
            }
        }

        impl $crate::Layout for $name {
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                <Self as $crate::Packed>::unpack(bytes)
            }

            fn runs(base: u32, runs: &mut ::std::vec::Vec<(u32, u32)>) {
                runs.push((base, ::core::mem::size_of::<Self>() as u32));
            }
        }
    };
}

/// The part of [`layout!`](crate::layout!) that is the same for structs with and without padding.
#[doc(hidden)]
#[macro_export]
macro_rules! layout_of_struct {
    ($name:ident $(: $size:literal)? { $($field:ident : $ty:ty),+ }) => {
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
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                Self {
                    $($field: <$ty as $crate::Layout>::read(&bytes[::core::mem::offset_of!($name, $field)..])),+
                }
            }

            fn runs(base: u32, runs: &mut ::std::vec::Vec<(u32, u32)>) {
                $(<$ty as $crate::Layout>::runs(base + ::core::mem::offset_of!($name, $field) as u32, runs);)+
            }
        }
    };
}

/// The size of a union whose members have these sizes and alignments.
pub const fn union_size(sizes: &[usize], alignments: &[usize]) -> usize {
    const fn largest(numbers: &[usize]) -> usize {
        match numbers {
            [] => 0,
            [first, rest @ ..] => {
                let rest = largest(rest);
                if *first > rest { *first } else { rest }
            }
        }
    }
    largest(sizes).next_multiple_of(largest(alignments))
}

/// The C bit field that begins at bit `first` of the integer that holds it and has `width` bits: `bits(word, 3, 5)` of
/// `u32 kind : 3, state : 5;` is `state`.
///
/// # Panics
/// If the field does not lie in 64 bits, or is empty.
pub fn bits(holder: impl Into<u64>, first: u32, width: u32) -> u64 {
    assert!(width > 0 && first + width <= 64, "a bit field lies in 64 bits");
    holder.into() >> first & (u64::MAX >> (64 - width))
}

macro_rules! big_endian {
    ($($(#[$meta:meta])* $name:ident: $int:ty),+) => {$(
        $(#[$meta])*
        #[repr(transparent)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name($int);

        impl $name {
            /// The number.
            #[inline]
            pub const fn get(self) -> $int {
                self.0.swap_bytes()
            }
        }

        impl Packed for $name {
            const PACKED: usize = size_of::<$int>();

            #[inline(always)]
            fn unpack(packed: &[u8]) -> Self {
                Self(Packed::unpack(packed))
            }
        }

        impl Layout for $name {
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                Self(Packed::unpack(bytes))
            }

            fn runs(base: u32, runs: &mut Vec<(u32, u32)>) {
                runs.push((base, Self::SIZE as u32));
            }
        }

        impl From<$name> for crate::Label<'_> {
            #[inline]
            fn from(number: $name) -> Self {
                number.get().into()
            }
        }
    )+};
}

big_endian!(
    /// A `__be16`, such as a port: a member of an identity, and a label. Contract 0.1 counts no numbers in this byte order.
    Be16: u16,
    /// A `__be32`.
    Be32: u32,
    /// A `__be64`.
    Be64: u64
);

/// The [`Member`](crate::Member) with this name: `member!(Bank.head.device)`. With a type alone, the whole value: `member!(u64)`.
#[macro_export]
macro_rules! member {
    ($struct:ident . $($field:ident).+) => {
        $crate::Member::new(::core::mem::offset_of!($struct, $($field).+), |all: $struct| all.$($field).+)
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

    crate::layout! {
        packed struct Wire: 15 bytes { kind: u8, port: Be16, inner: Inner, flags: u32 }
    }

    crate::layout! {
        union Address: 16 bytes { v4: [u8; 4], v6: [u8; 12], token: u64 }
    }

    #[test]
    fn packed_structs_have_no_padding_of_their_own() {
        let bytes = [7, 1, 187, 5, 9, 9, 9, 4, 3, 2, 1, 8, 0, 0, 0];
        let wire = Wire::read(&bytes);
        assert_eq!((wire.kind, wire.port.get(), { wire.flags }), (7, 443, 8));
        assert_eq!({ wire.inner }, Inner { op: 5, page: 0x0102_0304 });
        let mut runs = Vec::new();
        Wire::runs(0, &mut runs);
        assert_eq!(runs, [(0, 1), (1, 2), (3, 1), (7, 4), (11, 4)]);
        assert_eq!(member!(Wire.flags).offset, 11);
    }

    #[test]
    fn the_members_of_a_union_are_at_one_place_and_it_is_padded_like_in_c() {
        let mut bytes = [0; 16];
        bytes[..12].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        let address = Address::read(&bytes);
        assert_eq!((address.v4(), address.v6()[11], address.token()), ([1, 2, 3, 4], 12, 0x0807_0605_0403_0201));
        assert_eq!((Address::SIZE, Address::PACKED, align_of::<Address>()), (16, 16, 8));
    }

    #[test]
    fn bit_fields_are_counted_from_the_lowest_bit() {
        assert_eq!(bits(0b1010_1101u8, 0, 3), 0b101);
        assert_eq!(bits(0b1010_1101u8, 3, 5), 0b1_0101);
        assert_eq!(bits(u64::MAX, 0, 64), u64::MAX);
        assert_eq!(bits(u64::MAX, 63, 1), 1);
    }

    #[test]
    fn values_with_padding_are_read_at_the_offsets_of_c() {
        let mut bytes = [0xee; 40];
        bytes[4..12].copy_from_slice(&[3, 9, 9, 9, 1, 0, 0, 0]);
        bytes[24..29].copy_from_slice(b"fio\0\0");
        assert_eq!((Outer::read(&bytes).inner, Outer::read(&bytes).comm), (Inner { op: 3, page: 1 }, *b"fio\0\0"));
    }

    #[test]
    fn values_are_read_little_endian_and_without_padding() {
        let inner = Inner::unpack(&[7, 1, 2, 3, 4]);
        assert_eq!(inner, Inner { op: 7, page: 0x0403_0201 });
        assert_eq!(<(u8, i16)>::unpack(&[1, 0xfe, 0xff]), (1, -2));
        assert_eq!(<[u16; 2]>::unpack(&[1, 0, 2, 0]), [1, 2]);
    }
}
