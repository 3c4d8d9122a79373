#!/bin/sh
# SPDX-License-Identifier: MIT
#
# diverged.sh: exit 5: a loss that is not finite ends the run, and what was saved before stays good; with
# train.on_nonfinite: skip the run goes on.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
write_model

# At once: weights beyond what a float can multiply.
run train small.yaml optimizer.lr=1.0e38
ends 5 'training diverged \(step 2\): the loss is not finite .*; lower optimizer.lr, '
run train small.yaml
ends 0 'finished at step 12'
clean=$(digest runs/small)

# Later: the learning rate leaps after step 5, and step 4 is on disk.
sed '$a\
schedule: {kind: step, step_size: 5, gamma: 1.0e+41}' small.yaml >leap.yaml
run train leap.yaml run.dir=leap
ends 5 'training diverged \(step 7\): '
same "$(newest leap)" 4 'the newest checkpoint of a run that diverged'
run info leap/checkpoints/last.h5
ends 0 'verified' 'step 4,'
saved=$(digest leap)
run train leap.yaml run.dir=leap
ends 5 'resuming from step 4 ' 'training diverged \(step 7\): '
same "$(digest leap)" "$saved" 'the checkpoint after the run diverged again'

run train leap.yaml run.dir=skip train.on_nonfinite=skip
ends 0 '^lockstep: warning: step 7: (loss|gradient) not finite; skipped \(train.on_nonfinite: skip\)' 'finished at step 12'
! grep -q -e '-nan' err || fail 'a sign before nan'
same "$(newest skip)" 12 'the newest checkpoint of a run that skips'
run train small.yaml run.dir=quiet train.on_nonfinite=skip
ends 0
same "$(digest quiet)" "$clean" 'a run that could have skipped, but did not have to'
