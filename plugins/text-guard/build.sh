#!/bin/sh
# Builds the component:  plugins/text-guard/build.sh OUT
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
out=${1:?the file to write}
case $out in /*) ;; *) out=$PWD/$out ;; esac
export MOLTRUN_PLUGINS="${MOLTRUN_PLUGINS:-$(dirname "$here")}"
. "$MOLTRUN_PLUGINS/tools.sh"
zig=$(zig)
bindgen=$(wit_bindgen)
aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT

"$bindgen" c --world transform --out-dir "$aside" "$MOLTRUN_PLUGINS/../wit" >&2
# By names without folders, so that the bytes are the same wherever it is built. A stack of 64 KiB: nothing recurs but the
# reader of JSON, 32 deep.
cp "$here"/src/*.c "$here"/src/*.h "$aside"
cd "$aside"
"$zig" cc -target wasm32-wasi -mcpu=generic -mexec-model=reactor -std=c11 -Os -g0 -s -fno-ident -fno-sanitize=all -Wl,-z,stack-size=65536 \
    -o core.wasm ./*.c transform_component_type.o
component_new core.wasm component.wasm
cp component.wasm "$out"
