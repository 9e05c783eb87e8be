#!/bin/sh
# Builds every plugin to plugins/dist/*.wasm, the same bytes on every machine and in every folder.
#
#   plugins/build.sh           builds, and writes dist/ and dist/SHA256SUMS
#   plugins/build.sh --check   builds, and fails unless the result equals what is committed
#   plugins/build.sh --test    runs the guests' own tests (on this machine, not as components)
#   plugins/build.sh NAME...   builds these alone, and writes them to dist/
#
# A plugin is a folder here: in Rust one with a Cargo.toml, else one with a build.sh of its own, which is called with the
# file to write. What has not changed is not built again (cargo knows; for the rest by a digest of their sources).
#
# The bytes depend on the compiler, its library and the linker. For C and JavaScript these come from tools.sh, each of one
# version. For Rust, so that they do not change with whatever rustup has today, there is one way only: Debian's rustc-web
# and rust-web-src of the version below (bookworm-security), unpacked and not installed; and rust-lld and
# wasm-component-ld of the toolchain version below. The library is built from source, because Debian ships none for
# wasm32. Needs apt (Debian or a derivative with these packages), cargo, cc, python3 with pip, node with npm, about 2 GB.
set -eu

DEBIAN_RUST="1.96.0+dfsg1-1~deb12u2"
DEBIAN_LLVM="1:22.1.8-1~deb12u1"
RUSTUP_RUST="1.95.0"

plugins=$(cd "$(dirname "$0")" && pwd -P)
root=$(dirname "$plugins")
target=${MOLTRUN_WASM_TARGET:-$plugins/target}
tools=${MOLTRUN_WASM_RUST:-${XDG_CACHE_HOME:-$HOME/.cache}/moltrun-wasm-rust}/$DEBIAN_RUST
export MOLTRUN_PLUGINS="$plugins"

fail() { echo "plugins/build.sh: $*" >&2; exit 1; }

# Rust guests are of this workspace; the sdk is what they stand on.
rust_guests() { for manifest in */Cargo.toml; do dirname "$manifest"; done | grep -vx sdk; }
other_guests() { for script in */build.sh; do [ ! -f "$script" ] || dirname "$script"; done | grep -vxE 'templates|tests' || true; }

mode=build
wanted=
case "${1:-}" in
    --check | --test) mode=${1#--} ;;
    -*) fail "unknown argument \`$1\`; known: --check, --test, names of plugins" ;;
    *) wanted="$*" ;;
esac
mkdir -p "$target"
cd "$plugins"
for name in $wanted; do
    { rust_guests; other_guests; } | grep -qx "$name" || fail "there is no plugin \`$name\`"
done
is_wanted() { [ -z "$wanted" ] || echo " $wanted " | grep -q " $1 "; }

# Where components of the sdk's kind come from: the crate has its own copy of the interface, since it is built elsewhere too.
diff -r "$root/wit" sdk/wit >/dev/null || fail "sdk/wit is not wit/ any more; copy it: rm -r plugins/sdk/wit && cp -r wit plugins/sdk/wit"

if [ "$mode" = test ]; then
    CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$target/host}" cargo test --locked --workspace
    for script in */test.sh; do
        [ ! -f "$script" ] || { echo "$script"; "$script"; }
    done
    exit
fi

# Unpacked beside its final place and renamed, so that a download that was cut off is not taken for a compiler.
unpack_rust() {
    [ ! -x "$tools/usr/bin/rustc" ] || return 0
    rm -rf "$tools.part"
    mkdir -p "$tools.part/debs"
    (
        cd "$tools.part/debs"
        # A machine may have no lists of packages yet.
        apt-cache show "rustc-web=$DEBIAN_RUST" >/dev/null 2>&1 || $([ "$(id -u)" = 0 ] || echo sudo) apt-get update -qq
        apt-get download -qq "rustc-web=$DEBIAN_RUST" "rust-web-src=$DEBIAN_RUST" "libstd-rust-web-dev=$DEBIAN_RUST" \
            "libstd-rust-web-${DEBIAN_RUST%.*}=$DEBIAN_RUST" "libllvm22=$DEBIAN_LLVM" ||
            fail "apt has no rustc-web $DEBIAN_RUST (run apt-get update first); for a newer one set the versions here, rebuild and commit"
        for deb in *.deb; do dpkg-deb -x "$deb" ..; done
    )
    rm -rf "$tools.part/debs"
    mv "$tools.part" "$tools"
}

build_rust() {
    [ "$(rustc --version | cut -d' ' -f2)" = "$RUSTUP_RUST" ] ||
        fail "the linker must be that of Rust $RUSTUP_RUST, this is $(rustc --version)"
    linkers=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin
    [ -x "$linkers/wasm-component-ld" ] || fail "no wasm-component-ld in $linkers; it comes with rustup's toolchain"
    unpack_rust
    # A compiler that finds its own libraries and hides where things lie: what follows ends up in the component. The
    # library source is named by its place in the toolchain, registry crates by name and version, ours by their place in
    # the project.
    compiler=$target/rustc-wasm
    cat >"$compiler" <<SCRIPT
#!/bin/sh
LD_LIBRARY_PATH="$tools/usr/lib/x86_64-linux-gnu:$tools/usr/lib" exec "$tools/usr/bin/rustc" "\$@" \\
    --remap-path-prefix="$tools=/rust" --remap-path-prefix="${CARGO_HOME:-$HOME/.cargo}=/cargo" --remap-path-prefix="$root=/moltrun"
SCRIPT
    chmod +x "$compiler"
    # Each alone: what one asks of the sdk (its connector) is not to be in the others.
    for name in $(rust_guests); do
        is_wanted "$name" || continue
        env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u RUSTC_WRAPPER \
            RUSTC="$compiler" RUSTC_BOOTSTRAP=1 PATH="$linkers:$linkers/gcc-ld:$PATH" CARGO_TARGET_DIR="$target" \
            CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linkers/wasm-component-ld" \
            cargo build --locked --release --target wasm32-unknown-unknown -Z build-std=std,panic_abort --package "$name"
        cp "$target/wasm32-unknown-unknown/release/$(echo "$name" | tr - _).wasm" "$target/$name.wasm"
    done
}

# The digest of all that makes the bytes of a guest that cargo does not build.
sources() {
    { find "$1" "$root/wit" tools.sh tools -type f -not -path '*/node_modules/*' | LC_ALL=C sort | while read -r file; do
        echo "${file#"$root/"}"
        cat "$file"
    done; } | sha256sum
}

build_others() {
    for name in $(other_guests); do
        is_wanted "$name" || continue
        now=$(sources "$name")
        if [ -f "$target/$name.wasm" ] && [ "$(cat "$target/$name.sources" 2>/dev/null)" = "$now" ]; then
            continue
        fi
        rm -f "$target/$name.wasm"
        "$name/build.sh" "$target/$name.wasm"
        echo "$now" >"$target/$name.sources"
    done
}

build_others
build_rust

sums=$target/SHA256SUMS
: >"$sums"
for name in $({ rust_guests; other_guests; } | LC_ALL=C sort); do
    from=$target
    is_wanted "$name" || from=$plugins/dist
    (cd "$from" && sha256sum "$name.wasm") >>"$sums"
done

if [ "$mode" = check ]; then
    diff "$plugins/dist/SHA256SUMS" "$sums" || fail "the rebuilt plugins differ from dist/SHA256SUMS; run plugins/build.sh and commit dist/"
    (cd "$plugins/dist" && sha256sum --check --quiet SHA256SUMS) || fail "dist/ does not match its SHA256SUMS"
    echo "plugins/dist is what the sources give"
else
    mkdir -p "$plugins/dist"
    while read -r _ file; do
        is_wanted "${file%.wasm}" && cp "$target/$file" "$plugins/dist/$file"
    done <"$sums"
    cp "$sums" "$plugins/dist/SHA256SUMS"
    cat "$sums"
fi
