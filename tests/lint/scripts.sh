#!/bin/sh
# SPDX-License-Identifier: MIT
#
# scripts.sh ROOT: every shell script parses and shellcheck finds nothing; 77 (skipped) without shellcheck.
set -u
cd "$1" || exit 2
scripts=$(find trainer tests configs .ci -name '*.sh' -o -path .ci/run)
for script in $scripts; do
    sh -n "$script" || exit 1
done
command -v shellcheck >/dev/null 2>&1 || { echo 'shellcheck is not installed: skipped'; exit 77; }
# Advice below the level of a warning is left to taste; SC2154, SC2034: names shared with tests/lib.sh.
# shellcheck disable=SC2086 # a list of words
exec shellcheck -S warning -e SC2154,SC2034 $scripts
