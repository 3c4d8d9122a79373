#!/bin/sh
# SPDX-License-Identifier: MIT
#
# matrix.sh: the same bits for 1, 2, 3, 4 ranks times 1, 2, 3, 5 threads, times all ways of sharing memory.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/bits/models.sh"
references

for model in $models; do
    for n in 1 2 3 4; do
        for threads in 1 2 3 5; do variant $model $n $threads matrix; done
        for share in none 2; do
            export LOCKSTEP_SHARE=$share
            variant $model $n 1 "LOCKSTEP_SHARE=$share"
            unset LOCKSTEP_SHARE
        done
    done
    for first in 1 2 3 4; do
        for second in 1 2 3 4; do halves $model $first 1 $second 1; done
    done
done
