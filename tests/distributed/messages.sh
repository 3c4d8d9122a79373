#!/bin/sh
# SPDX-License-Identifier: MIT
#
# messages.sh PROGRAM RANKS MPIEXEC FLAG LIBRARY: no message is left unmatched and no request unfinished when a
# job ends: training with evaluations and checkpoints, resuming, an early stop, an error that all ranks agree on,
# reading commands; on one node and on several, even and uneven. LIBRARY counts (see count_messages.c).
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
library=$5
write_model

# counted RANKS SHARE CODE ARGUMENT...: the command ends with that code, and all of its messages were matched
counted() {
    n=$1 want=$3
    LOCKSTEP_SHARE=$2
    export LOCKSTEP_SHARE
    shift 3
    launch "$n" env LD_PRELOAD="$library" "$lockstep" "$@"
    ends "$want" '^messages: [0-9]+ sent, 0 not received, 0 short, 0 requests unfinished$'
    sent=$(sed -n 's/^messages: \([0-9]*\) sent.*/\1/p' err)
}

for case in '2 none' '4 2' '3 2' '2 all'; do
    # shellcheck disable=SC2086 # words
    set -- $case
    counted "$1" "$2" 0 train small.yaml train.shards=4 run.dir=run train.steps=6
    # One node talks through its memory alone; several send at least a message a step.
    if [ "$2" = all ]; then same "$sent" 0 'messages on one node'; elif [ "$sent" -lt 12 ]; then fail "only $sent messages"; fi
    counted "$1" "$2" 0 train small.yaml train.shards=4 run.dir=run
    says 'resuming from step 6 ' 'finished at step 12'
    if [ "$case" = '3 2' ]; then
        counted "$1" "$2" 75 train small.yaml train.shards=4 run.dir=run train.steps=100000000 train.max_time=1s
        counted "$1" "$2" 0 eval run/checkpoints/last.h5
        counted "$1" "$2" 2 train small.yaml train.shards=1 run.dir=other
    fi
    rm -rf run
done
