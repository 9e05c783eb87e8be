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
"$componentize" --wit "$MOLTRUN_PLUGINS/../wit" --world transform --js guest.js --module-root . --minify \
    --sync --opt-size --stub-wasi --output component.wasm >&2
cp component.wasm "$out"
