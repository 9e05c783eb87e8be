#!/bin/sh
# Makes plugin-name.wasm.
set -eu
cd "$(dirname "$0")"
componentize-py --wit-path wit --world transform componentize plugin --python-path . --stub-wasi --output plugin-name.wasm
