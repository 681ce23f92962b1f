#!/bin/sh
# Builds the BPF object and the component. Needs clang, and Rust with the target wasm32-unknown-unknown; where that is missing and
# apt-get is there, Debian's rustc-web is unpacked into a cache folder instead (140 MB, nothing is installed).
set -eu
cd "$(dirname "$0")"
./build-bpf.sh
command -v cargo >/dev/null || {
	echo "build.sh: found no cargo, expected Rust: https://rustup.rs, then rustup target add wasm32-unknown-unknown" >&2
	exit 1
}
TARGET=wasm32-unknown-unknown
SYSROOT=$(rustc --print sysroot)
LINKERS=$SYSROOT/lib/rustlib/$(rustc -vV | sed -n 's/^host: //p')/bin
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ebhost/rustc-web
STD=
if ! [ -d "$SYSROOT/lib/rustlib/$TARGET/lib" ]; then
	if ! [ -e "$CACHE/ready" ]; then
		command -v apt-get >/dev/null || {
			echo "build.sh: found no standard library for $TARGET: rustup target add $TARGET" >&2
			exit 1
		}
		echo "build.sh: unpacking Debian's rustc-web into $CACHE (\`rustup target add $TARGET\` saves this)" >&2
		rm -rf "$CACHE"
		mkdir -p "$CACHE/downloads"
		(
			cd "$CACHE/downloads"
			first() { apt-cache depends "$@" | sed -n "s/.*Depends: \($PATTERN\)\$/\1/p" | head -n 1; }
			PATTERN='libstd-rust-web-[0-9.]*'
			LIBRARY=$(first libstd-rust-web-dev)
			PATTERN='libllvm[0-9]*'
			apt-get download -q rustc-web libstd-rust-web-dev rust-web-src "$LIBRARY" "$(first "$LIBRARY" rustc-web)"
			for PACKAGE in *.deb; do dpkg-deb -x "$PACKAGE" "$CACHE"; done
		)
		rm -rf "$CACHE/downloads"
		printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
			"$CACHE/usr/lib/$(uname -m)-linux-gnu" "$CACHE/usr/bin/rustc" >"$CACHE/rustc"
		chmod +x "$CACHE/rustc"
		touch "$CACHE/ready"
	fi
	export RUSTC="$CACHE/rustc" RUSTC_BOOTSTRAP=1
	STD='-Z build-std=std,panic_abort'
fi
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$LINKERS/wasm-component-ld" PATH="$LINKERS/gcc-ld:$PATH"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS='-C linker-flavor=wasm-ld'
# Shared by all packages, because each would build the standard library and the SDK again. A folder beside the one of `cargo test`,
# whose native build may be another compiler's.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/ebhost/target}/component"
# The component's file has its name alone, so that of another package of this name would be taken for this one's: it is built anew.
rm -rf "$CARGO_TARGET_DIR/$TARGET/release/.fingerprint/slowopens-"*
# shellcheck disable=SC2086 # two words, or none
cargo build --quiet --release --target $TARGET $STD
cp "$CARGO_TARGET_DIR/$TARGET/release/slowopens.wasm" slowopens.wasm
ls -l slowopens.bpf.o slowopens.wasm
