#!/bin/sh
# The package's tests: no root, no BPF. Set EBHOST to use another ebhost than the one on PATH.
set -eu
cd "$(dirname "$0")"
EBHOST=${EBHOST:-ebhost}
command -v "$EBHOST" >/dev/null || {
	echo "test.sh: found no ebhost; put it on PATH, or name it: EBHOST=/path/to/ebhost ./test.sh" >&2
	exit 1
}
# Shared by all packages, as in build.sh.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ebhost/target}"
cargo test --quiet
"$EBHOST" check --deny-warnings .
"$EBHOST" replay . sample.jsonl --expect expected.prom
