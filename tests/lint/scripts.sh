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
# SC2015 doubts "a && b || c", which is meant as it reads where b cannot fail.
# shellcheck disable=SC2086 # a list of words
exec shellcheck -e SC2015 $scripts
