#!/bin/sh
# The tests, with node's own runner.
set -eu
cd "$(dirname "$0")"
exec node --test tests/*.test.js
