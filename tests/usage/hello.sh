#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hello.sh: the classic exercise, from "hello" to "ohlol", and the prediction on its way there.
. "$(dirname -- "$0")/../lib.sh"
in_tree "$ranks" train configs/hello.yaml run.dir="$here/run"
ends 0 '^  predicted ohlol, target ohlol$'
predicted=$(sed -n 's/^  predicted \(.*\), target ohlol$/\1/p' err)
same "$(printf '%s\n' "$predicted" | wc -l)" 20 'printed predictions'
differ "$(printf '%s\n' "$predicted" | sed -n 1p)" ohlol 'the first prediction'
same "$(printf '%s\n' "$predicted" | sed -n '$p')" ohlol 'the last prediction'
run eval run/checkpoints/last.h5
ends 0 '^accuracy +1$'
