#!/bin/sh
# The package's test: no root, no BPF. Set EBHOST to use another ebhost than the one on PATH.
set -eu
cd "$(dirname "$0")"
EBHOST=${EBHOST:-ebhost}
command -v "$EBHOST" >/dev/null || {
	echo "test.sh: found no ebhost; put it on PATH, or name it: EBHOST=/path/to/ebhost ./test.sh" >&2
	exit 1
}
"$EBHOST" check --deny-warnings .
"$EBHOST" replay . sample.jsonl --expect expected.prom
