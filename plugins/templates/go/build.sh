#!/bin/sh
# Makes plugin-name.wasm: a core module for WASI 0.1, its interface, and stubs in the place of WASI.
set -eu
cd "$(dirname "$0")"
rm -rf build
mkdir -p build/wit/deps/step
# wasm-tools, or jco 1.17, which has the same commands.
if command -v wasm-tools >/dev/null; then
    parse="wasm-tools parse" embed="wasm-tools component embed build/wit" new="wasm-tools component new"
else
    parse="jco parse" embed="jco embed --wit build/wit" new="jco new"
fi
# One world, by itself.
echo 'package local:plugin; world plugin { include moltrun:step/transform@1.0.0; }' >build/wit/plugin.wit
cp wit/step.wit build/wit/deps/step
cp -r wit/deps/* build/wit/deps

GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags="-s -w" -o build/module.wasm .
$parse wasi-stub.wat -o build/wasi-stub.wasm
$embed build/module.wasm -o build/embedded.wasm
$new build/embedded.wasm --adapt wasi_snapshot_preview1=build/wasi-stub.wasm -o plugin-name.wasm
