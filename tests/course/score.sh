#!/bin/sh
# SPDX-License-Identifier: MIT
#
# score.sh PROGRAM RANKS MPIEXEC FLAG CONFIG: the config runs as it is and reaches what its comment says:
#     # Score: accuracy >= 0.95          a key of `lockstep eval --json`, >= or <=, a number
limit=900
. "$(dirname -- "$0")/../lib.sh"
config=configs/$5.yaml
score=$(sed -n 's/^# Score: \([a-z]* [<>]= [0-9.]*\).*/\1/p' "$tests/../$config")
[ -n "$score" ] || fail "$config: no line '# Score: accuracy >= 0.95'"

in_tree "$ranks" train "$config" run.dir="$here/run"
ends 0 'finished at step'
checkpoint=$here/run/checkpoints/best.h5
[ -e "$checkpoint" ] || checkpoint=$here/run/checkpoints/last.h5
in_tree "$ranks" eval "$checkpoint" --json
ends 0
# shellcheck disable=SC2086 # key, sign, number
set -- $score
reached=$(sed -n "s/^ *\"$1\": \([-+.e0-9]*\),*$/\1/p" out)
printf '%s reaches %s %s, promised %s\n' "$config" "$1" "$reached" "$score"
[ -n "$reached" ] && awk -v a="$reached" -v sign="$2" -v b="$3" 'BEGIN { exit !(sign == ">=" ? a >= b : a <= b) }' ||
    fail "$1 $reached, promised $score"
