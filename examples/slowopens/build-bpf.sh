#!/bin/sh
# Compiles the BPF program. Needs only clang: the headers are in this folder.
set -eu
cd "$(dirname "$0")"
for CLANG in clang-19 clang-20 clang-21 clang-22 clang; do
	command -v $CLANG >/dev/null && break
done
command -v $CLANG >/dev/null || {
	echo "build.sh: found no clang, expected version 15 or newer: apt-get install clang-19" >&2
	exit 1
}
$CLANG -target bpf -mcpu=v3 -O2 -g -Wall -Werror -ffile-prefix-map="$PWD=." -c slowopens.bpf.c -o slowopens.bpf.o
