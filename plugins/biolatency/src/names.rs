//! Names for the numbers in `bpf/biolatency.bpf.c`. They are that program's own (the kernel's `REQ_OP_*` move between versions), are
//! never given anew, and grow at the end; a number without a name keeps its counts under its number.

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

/// `enum flag`, from bit 0, in the words of bcc's biolatency.
const FLAGS: [&str; 8] = ["Sync", "Metadata", "Priority", "FUA", "ReadAhead", "Background", "NoWait", "Idle"];

/// `enum lost`, from 0.
const LOST: [&str; 4] = ["banks_full", "starts_full", "no_start", "no_end"];

/// A request's operation.
#[inline]
pub(crate) fn operation(number: u8) -> Cow<'static, str> {
    OPERATIONS.get(usize::from(number)).map_or_else(|| format!("op_{number}").into(), |name| Cow::Borrowed(*name))
}

/// A request's flags, joined by hyphens; `none` for none, as an empty label would be no label.
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

/// Why a request was not counted.
pub(crate) fn lost(reason: u32) -> Cow<'static, str> {
    LOST.get(reason as usize).map_or_else(|| format!("reason_{reason}").into(), |name| Cow::Borrowed(*name))
}
