//! Names for the numbers in `bpf/request.h` and `bpf/lost.h`. The numbers are the programs' own, because the kernel's `REQ_OP_*` change between
//! versions. A number is never reused and new ones are added at the end. A number without a name is exposed as the number.

use std::borrow::Cow;

/// `enum operation`, from 0.
const OPERATIONS: [&str; 15] = [
    "read",
    "write",
    "flush",
    "discard",
    "preflush",
    "write_zeroes",
    "secure_erase",
    "write_same",
    "zone_append",
    "zone_open",
    "zone_close",
    "zone_finish",
    "zone_reset",
    "zone_reset_all",
    "other",
];

/// `enum flag`, from bit 0, with the names that bcc's biolatency uses.
const FLAGS: [&str; 8] = ["Sync", "Metadata", "Priority", "FUA", "ReadAhead", "Background", "NoWait", "Idle"];

/// `enum lost`, from 0.
const LOST: [&str; 4] = ["banks_full", "starts_full", "no_start", "no_end"];

/// `enum slow`, from 0.
const SLOW: [&str; 2] = ["banks_full", "starts_full"];

/// The name of a request's operation.
#[inline]
pub(crate) fn operation(number: u8) -> Cow<'static, str> {
    OPERATIONS.get(usize::from(number)).map_or_else(|| format!("op_{number}").into(), |name| Cow::Borrowed(*name))
}

/// The names of a request's flags, joined by hyphens; `none` if there are none, because an empty label value means no label in Prometheus.
pub(crate) fn flags(bits: u16) -> Cow<'static, str> {
    let set: Vec<_> = (0..16)
        .filter(|bit| bits >> bit & 1 == 1)
        .map(|bit| FLAGS.get(bit).map_or_else(|| format!("flag_{bit}").into(), |word| Cow::Borrowed(*word)))
        .collect();
    match &set[..] {
        [] => "none".into(),
        [one] => one.clone(),
        more => more.join("-").into(),
    }
}

/// The reason why a request was not counted.
pub(crate) fn lost(reason: u32) -> Cow<'static, str> {
    named(&LOST, reason)
}

/// The reason why a request cost more than usual.
pub(crate) fn slow(reason: u32) -> Cow<'static, str> {
    named(&SLOW, reason)
}

fn named(names: &[&'static str], reason: u32) -> Cow<'static, str> {
    names.get(reason as usize).map_or_else(|| format!("reason_{reason}").into(), |name| Cow::Borrowed(*name))
}
