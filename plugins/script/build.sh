#!/bin/sh
# plugins/script/build.sh OUT: builds the JavaScript engine to the component OUT, the same bytes on every machine.
#
# Its parts are pinned: quickjs-ng by the digest of the crate that carries its sources, compiler, bindings, snapshot and
# component tool in ../tools.sh.
set -eu

QUICKJS_CRATE="rquickjs-sys 0.14.0 cee271d0eeba64f0915b846cb7ae02e16faf3dfdffdca91731101d9d30fe3423"

[ $# = 1 ] || { echo "usage: plugins/script/build.sh OUT" >&2; exit 1; }
here=$(cd "$(dirname "$0")" && pwd -P)
out=$(cd "$(dirname "$1")" && pwd -P)/$(basename "$1")
. "$here/../tools.sh"

zig=$(zig)
wit_bindgen=$(wit_bindgen)
wizer=$(wizer)
# Three words: name, version, digest.
quickjs=$(crate_source $QUICKJS_CRATE)/quickjs

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/gen"
"$wit_bindgen" c "$here/script.wit" --world script --out-dir "$work/gen" >&2

# Everything lies in one folder under names without a path, so that none ends up in the module.
cp "$here"/*.c "$here"/*.h "$work/gen"
cp "$quickjs"/*.c "$quickjs"/*.h "$work/gen"
cd "$work/gen"

# As wide as QuickJS is: exceptions, threads and vectors are what the host has not. NDEBUG: a broken assertion would end in
# a trap anyway.
flags="-target wasm32-wasi -mcpu=generic -O2 -g0 -DNDEBUG -D_GNU_SOURCE -fno-ident -funsigned-char -fwrapv -fno-sanitize=all -w"
for file in engine wasi script libregexp libunicode dtoa; do
    "$zig" cc $flags -c "$file.c" -o "$file.o" >&2
done
"$zig" cc -target wasm32-wasi -mcpu=generic -mexec-model=reactor -O2 -s -Wl,-z,stack-size=524288 \
    engine.o wasi.o script.o libregexp.o libunicode.o dtoa.o script_component_type.o -o engine.wasm >&2
"$wizer" engine.wasm --init-func wizer-initialize -o started.wasm >&2
component_new started.wasm script.wasm
mv script.wasm "$out"
