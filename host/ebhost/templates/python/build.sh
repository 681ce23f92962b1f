#!/bin/sh
# Builds the BPF object and the component. Needs clang, and python3 with pip: componentize-py goes into a folder beside this one.
set -eu
cd "$(dirname "$0")"
./build-bpf.sh
PYTHON=${PYTHON:-python3}
command -v "$PYTHON" >/dev/null || {
	echo "build.sh: found no python3, expected version 3.10 or newer: apt-get install python3-venv" >&2
	exit 1
}
if ! [ -x .venv/bin/componentize-py ]; then
	"$PYTHON" -m venv .venv
	.venv/bin/pip install --quiet componentize-py==0.25.1
fi
.venv/bin/componentize-py -d wit -w plugin componentize --stub-wasi component -o __NAME__.wasm
ls -l __NAME__.bpf.o __NAME__.wasm
