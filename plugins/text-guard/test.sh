#!/bin/sh
# The tests, as a program of this machine: cc with the sanitizers of memory and undefined behaviour.
set -eu
here=$(cd "$(dirname "$0")" && pwd -P)
aside=$(mktemp -d)
trap 'rm -rf "$aside"' EXIT
sources=$(find "$here/src" -name '*.c' -not -name plugin.c)
# shellcheck disable=SC2086 # one word for each file
cc -std=c11 -O1 -g -Wall -Wextra -Wconversion -Wno-sign-conversion -Werror -fsanitize=address,undefined -fno-sanitize-recover=all \
    -o "$aside/test" $sources "$here/tests/test.c"
"$aside/test"
