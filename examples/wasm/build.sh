#!/bin/sh
# Needs clang with a libc for WASI. Debian: apt-get install clang lld wasi-libc libclang-rt-dev-wasm32. What it makes is in the
# repository, so that the example can be deployed without.
set -eu
cd "$(dirname "$0")"
for name in guestbook fractal; do
  clang --target=wasm32-wasi -O2 -Wall -Wl,--strip-debug -o "$name.wasm" "src/$name.c"
  chmod 644 "$name.wasm"
done
