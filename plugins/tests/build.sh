#!/bin/sh
# Builds the guest of the host's tests, plugins/tests/probe, to src/wasm/tests/probe.wasm. With the compiler that
# plugins/build.sh has unpacked: run that first. The result is committed, because tests run with cargo alone.
set -eu

here=$(cd "$(dirname "$0")" && pwd -P)
root=$(dirname "$(dirname "$here")")
tools=$(ls -d "${MOLTRUN_WASM_RUST:-${XDG_CACHE_HOME:-$HOME/.cache}/moltrun-wasm-rust}"/*/ | sort | tail -1)
target=${MOLTRUN_WASM_TARGET:-$root/plugins/target}/tests
linkers=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin
compiler=$target/rustc-wasm

mkdir -p "$target"
cat >"$compiler" <<SCRIPT
#!/bin/sh
LD_LIBRARY_PATH="$tools/usr/lib/x86_64-linux-gnu:$tools/usr/lib" exec "$tools/usr/bin/rustc" "\$@" \\
    --remap-path-prefix="$tools=/rust/" --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=/cargo" --remap-path-prefix="$root=/moltrun"
SCRIPT
chmod +x "$compiler"

cd "$here/probe"
env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER \
    RUSTC="$compiler" RUSTC_BOOTSTRAP=1 PATH="$linkers:$linkers/gcc-ld:$PATH" CARGO_TARGET_DIR="$target" \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linkers/wasm-component-ld" \
    cargo build --release --target wasm32-unknown-unknown -Z build-std=core,alloc
cp "$target/wasm32-unknown-unknown/release/probe.wasm" "$root/src/wasm/tests/probe.wasm"
ls -l "$root/src/wasm/tests/probe.wasm"
