/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Programs to compare those of the packages with, for `cargo xtask bench cost`; not for users.
 *
 * For each program of a package there is one on the same hook that does nothing (`empty_PROGRAM`), and one that does the same job with
 * ordinary BPF hashes (`PACKAGE_PROGRAM`). They are written for the kernels that the benchmark runs on, from Linux 6.12 on, and know none of the
 * differences of older ones.
 */
#include "costs/network.h"
#include "costs/storage.h"
#include "costs/tasks.h"

char LICENSE[] SEC("license") = "GPL";
