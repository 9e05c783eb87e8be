#!/bin/sh
# Builds every plugin to plugins/dist/*.wasm, the same bytes on every machine and in every folder.
#
#   plugins/build.sh           builds, and writes dist/ and dist/SHA256SUMS
#   plugins/build.sh --check   builds, and fails unless the result equals what is committed
#
# The bytes depend on the compiler, its library and the linker. So that they do not change with whatever rustup has
# today, there is one way only: Debian's rustc-web and rust-web-src of the version below (bookworm-security), unpacked
# and not installed; and rust-lld and wasm-component-ld of the toolchain version below. The library is built from source,
# because Debian ships none for wasm32. Needs apt (Debian or a derivative with these packages), cargo, cc, about 1 GB.
set -eu

DEBIAN_RUST="1.96.0+dfsg1-1~deb12u2"
DEBIAN_LLVM="1:22.1.8-1~deb12u1"
RUSTUP_RUST="1.95.0"

plugins=$(cd "$(dirname "$0")" && pwd -P)
root=$(dirname "$plugins")
tools=${MOLTRUN_WASM_RUST:-${XDG_CACHE_HOME:-$HOME/.cache}/moltrun-wasm-rust}/$DEBIAN_RUST
target=${MOLTRUN_WASM_TARGET:-$plugins/target}

fail() { echo "plugins/build.sh: $*" >&2; exit 1; }

case "${1:-}" in
    "") mode=build ;;
    --check) mode=check ;;
    *) fail "unknown argument \`$1\`; known: --check" ;;
esac

[ "$(rustc --version | cut -d' ' -f2)" = "$RUSTUP_RUST" ] ||
    fail "the linker must be that of Rust $RUSTUP_RUST, this is $(rustc --version)"
linkers=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin
[ -x "$linkers/wasm-component-ld" ] || fail "no wasm-component-ld in $linkers; it comes with rustup's toolchain"

# Unpacked beside its final place and renamed, so that a download that was cut off is not taken for a compiler.
if [ ! -x "$tools/usr/bin/rustc" ]; then
    rm -rf "$tools.part"
    mkdir -p "$tools.part/debs"
    (
        cd "$tools.part/debs"
        apt-get download -qq "rustc-web=$DEBIAN_RUST" "rust-web-src=$DEBIAN_RUST" "libstd-rust-web-dev=$DEBIAN_RUST" \
            "libstd-rust-web-${DEBIAN_RUST%.*}=$DEBIAN_RUST" "libllvm22=$DEBIAN_LLVM" ||
            fail "apt has no rustc-web $DEBIAN_RUST (run apt-get update first); for a newer one set the versions here, rebuild and commit"
        for deb in *.deb; do dpkg-deb -x "$deb" ..; done
    )
    rm -rf "$tools.part/debs"
    mv "$tools.part" "$tools"
fi

# A compiler that finds its own libraries and hides where things lie: what follows ends up in the component. The library
# source is named by its place in the toolchain, registry crates by name and version, ours by their place in the project.
compiler=$target/rustc-wasm
mkdir -p "$target"
cat >"$compiler" <<SCRIPT
#!/bin/sh
LD_LIBRARY_PATH="$tools/usr/lib/x86_64-linux-gnu:$tools/usr/lib" exec "$tools/usr/bin/rustc" "\$@" \\
    --remap-path-prefix="$tools=/rust" --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=/cargo" --remap-path-prefix="$root=/moltrun"
SCRIPT
chmod +x "$compiler"

cd "$plugins"
env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER \
    RUSTC="$compiler" RUSTC_BOOTSTRAP=1 PATH="$linkers:$linkers/gcc-ld:$PATH" CARGO_TARGET_DIR="$target" \
    CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linkers/wasm-component-ld" \
    cargo build --locked --release --target wasm32-unknown-unknown -Z build-std=core,alloc

built=$target/wasm32-unknown-unknown/release
sums=$target/SHA256SUMS
: >"$sums"
for manifest in */Cargo.toml; do
    name=$(dirname "$manifest")
    cp "$built/$(echo "$name" | tr - _).wasm" "$target/$name.wasm"
    (cd "$target" && sha256sum "$name.wasm") >>"$sums"
done

if [ $mode = check ]; then
    diff "$plugins/dist/SHA256SUMS" "$sums" || fail "the rebuilt plugins differ from dist/SHA256SUMS; run plugins/build.sh and commit dist/"
    (cd "$plugins/dist" && sha256sum --check --quiet SHA256SUMS) || fail "dist/ does not match its SHA256SUMS"
    echo "plugins/dist is what the sources give"
else
    mkdir -p "$plugins/dist"
    while read -r _ file; do cp "$target/$file" "$plugins/dist/$file"; done <"$sums"
    cp "$sums" "$plugins/dist/SHA256SUMS"
    cat "$sums"
fi
