#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fresh_copy.sh ROOT: the quickstart in a copy of the tree without build and runs, twice: on the default text
# and on a text of the user's. Each must end well, without control characters, and have learned (learned.py).
set -eu
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
(cd "$1" && tar cf - --exclude=./build --exclude='./build-*' --exclude=./runs --exclude=./.git .) | tar xf - -C "$copy"
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

# quickstart NAME RUN [FILE]
quickstart() {
    name=$1 run=$copy/runs/$2
    shift 2
    start=$(date +%s)
    (cd / && sh "$copy/trainer/quickstart.sh" "$@") >"$copy/out" 2>"$copy/err" </dev/null ||
        { code=$?; cat "$copy/out" "$copy/err"; echo "FAIL: $name: exit $code"; exit 1; }
    if LC_ALL=C tr -d '\n\t\40-\176\200-\377' <"$copy/out" | grep -q . || LC_ALL=C tr -d '\n\t\40-\176\200-\377' <"$copy/err" | grep -q .; then
        echo "FAIL: $name: control characters in the output"
        exit 1
    fi
    grep -q -F "checkpoint: $run/checkpoints/best.h5" "$copy/out" || { cat "$copy/out"; echo "FAIL: $name: does not name the checkpoint"; exit 1; }
    python3 "$here/learned.py" "$name" "$run" "$copy/out" "$(($(date +%s) - start))"
}

quickstart 'default text' quickstart
mkdir "$copy/texts of mine"
cat "$copy"/layers/*/*.c >"$copy/texts of mine/it's a text.txt"
quickstart 'a text of the user' quickstart-2 "$copy/texts of mine/it's a text.txt"
