#!/bin/sh
# Builds the BPF object and the component. Needs clang, node and npm: componentize-js goes into node_modules.
set -eu
cd "$(dirname "$0")"
./build-bpf.sh
command -v npm >/dev/null || {
	echo "build.sh: found no npm, expected node 20 or newer with npm: apt-get install nodejs npm" >&2
	exit 1
}
[ -d node_modules/@bytecodealliance/preview2-shim ] || npm install --loglevel=error --no-audit --no-fund
node build.mjs
ls -l __NAME__.bpf.o __NAME__.wasm
