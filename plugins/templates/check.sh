#!/usr/bin/env bash
# Makes a project of every template with `moltrun plugin new`, builds it with `moltrun plugin build`, runs its test, looks
# into it, calls its step, and runs a workflow with it. A language whose tools cannot be had fails.
#
#   plugins/templates/check.sh MOLTRUN [LANGUAGE...]      MOLTRUN is the program to try
#
# Rust wants a compiler for wasm32: where rustup has wasm32-wasip2 it is that, else the one that plugins/build.sh made.
set -euo pipefail

moltrun=$(realpath "$1")
shift
plugins=$(cd "$(dirname "$0")/.." && pwd -P)
# For tools.sh alone: to moltrun it would be the plugins folder.
MOLTRUN_PLUGINS="$plugins"
export -n MOLTRUN_PLUGINS
. "$plugins/tools.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/plugins"
export PATH="$work/bin:$PATH"

fail() { echo "plugins/templates/check.sh: $*" >&2; exit 1; }

# The program of that name, on the PATH of the builds.
provide() { ln -s "$2" "$work/bin/$1"; }

tools_rust() {
    libdir=$(rustc --print target-libdir --target wasm32-wasip2)
    [ -d "$libdir" ] && return
    local compiler=${MOLTRUN_WASM_TARGET:-$plugins/target}/rustc-wasm linkers
    [ -x "$compiler" ] || fail "no Rust for wasm32: rustup target add wasm32-wasip2, or run plugins/build.sh first"
    linkers=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin
    # The same compiler, library and profile as the plugins have, so that what they share is built once.
    build_env=(CARGO_BUILD_TARGET=wasm32-unknown-unknown CARGO_UNSTABLE_BUILD_STD=std,panic_abort RUSTC="$compiler"
        RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linkers/wasm-component-ld"
        CARGO_TARGET_DIR="${MOLTRUN_WASM_TARGET:-$plugins/target}" PATH="$linkers:$linkers/gcc-ld:$PATH")
}
tools_js() { ln -s "$(npm_package "$COMPONENTIZE_QJS")/node_modules" node_modules; }
tools_python() { provide componentize-py "$(componentize_py)"; }
tools_go() {
    provide go "$(go_toolchain)/bin/go"
    [ -e "$work/bin/jco" ] || provide jco "$(jco)"
    export GOTOOLCHAIN=local GOFLAGS=-mod=mod
}
tools_c() {
    provide zig "$(zig)"
    provide wit-bindgen "$(wit_bindgen)"
    [ -e "$work/bin/jco" ] || provide jco "$(jco)"
}

test_rust() { CARGO_TARGET_DIR="${MOLTRUN_WASM_TARGET:-$plugins/target}/host" cargo test --quiet; }
test_js() { npm test; }
test_python() { python3 -m unittest; }
test_go() { go test ./...; }
test_c() { make test; }

cat >"$work/moltrun.yaml" <<YAML
plugins: plugins
workflows: workflows
database: moltrun.db
YAML

same() { [ "$2" = "$3" ] || fail "$1: expected $2, found $3"; }

try() {
    local lang=$1 name=hello-$1 began=$SECONDS
    local -a build_env=()
    cd "$work"
    "$moltrun" plugin new "$name" --lang "$lang"
    ! "$moltrun" plugin new "$name" --lang "$lang" 2>/dev/null || fail "$name was written over"
    cd "$name"
    # What the plugins of this repository are built with.
    [ "$lang" != rust ] || cp "$plugins/Cargo.lock" .
    "tools_$lang"
    env "${build_env[@]}" "$moltrun" --config "$work/moltrun.yaml" plugin build --install
    "test_$lang"
    cd "$work"
    "$moltrun" plugin inspect "$name"
    same "$name greets" '{"text":"Hello, Ana!"}' \
        "$("$moltrun" plugin call "$name" greet --input '{"name": " Ana "}' | tr -d ' \n' | sed 's/,Ana/, Ana/')"
    # Beyond ASCII, both ways and escaped.
    same "$name greets anybody" '"Hello, Zoë \"Ω\" 😀!"' \
        "$("$moltrun" plugin call "$name" greet --input '{"name": "Zo\u00eb \"Ω\" \ud83d\ude00"}' --json |
            sed -n '/"output"/,/}/s/^ *"text": //p')"
    if "$moltrun" plugin call "$name" greet --input '{"name": " "}' --json >refused.json; then fail "$name greets nobody"; fi
    grep -q "\"code\": \"plugin.$name.blank_name\"" refused.json || fail "$name: $(cat refused.json)"
    cat >try.yaml <<YAML
name: try
triggers: [manual]
steps:
  - id: hello
    uses: $name/greet
    with: { name: Ana }
YAML
    "$moltrun" run try.yaml --json | grep -q '"text": "Hello, Ana!"' || fail "$name does not run in a workflow"
    printf 'ok  %-7s %4d s\n' "$lang" $((SECONDS - began))
    results+=("$(printf '%-7s %4d s' "$lang" $((SECONDS - began)))")
}

declare -a results=()
for lang in "${@:-rust js python go c}"; do
    for one in $lang; do try "$one"; done
done
printf '%s\n' "${results[@]}"
echo "${#results[@]} passed, 0 failed"
