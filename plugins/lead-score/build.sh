#!/bin/sh
# Builds the component:  plugins/lead-score/build.sh OUT
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
out=${1:?the file to write}
case $out in /*) ;; *) out=$PWD/$out ;; esac
export MOLTRUN_PLUGINS="${MOLTRUN_PLUGINS:-$(dirname "$here")}"
. "$MOLTRUN_PLUGINS/tools.sh"
componentize=$(componentize_qjs)
aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT

# In a folder of its own, by names without folders: the bytes are the same wherever it is built.
cp "$here"/src/*.js "$aside"
cd "$aside"
# What it snapshots has a seed and a start time in it.
cc -shared -fPIC -O1 -o same.so "$MOLTRUN_PLUGINS/tools/same.c" -ldl
SAME_IN=componentize-qjs-binding LD_PRELOAD="$aside/same.so" "$componentize" --wit "$MOLTRUN_PLUGINS/../wit" --world transform --js guest.js --module-root . --minify \
    --sync --opt-size --stub-wasi --output component.wasm >&2
cp component.wasm "$out"
