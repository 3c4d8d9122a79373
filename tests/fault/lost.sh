#!/bin/sh
# SPDX-License-Identifier: MIT
#
# lost.sh: exit 71: a rank dies or stops in the middle of training. The job ends by itself, one line names the
# rank, the newest checkpoint is whole, and the run goes on from it to the state of one that lost nobody.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
write_model
options='log.every=1 checkpoint.every=25 checkpoint.keep=2 eval.every=40'
# How this launcher treats a job that has lost a rank belongs to the test.
unset OMPI_MCA_odls_base_sigkill_timeout

for signal in KILL STOP; do
    for victim in 0 1; do
        name=$signal-$victim
        export LOCKSTEP_TIMEOUT=5 # of this job alone
        # shellcheck disable=SC2016,SC2086 # the inner shell expands
        start "$ranks" sh -c 'echo $$ >"pid.${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-$PMI_RANK}}"; exec "$@"' sh \
            "$lockstep" train small.yaml $options train.steps=100000000 run.dir=$name
        patience "$limit" has_row $name 60 || fail 'never came to step 60'
        kill -$signal "$(cat pid.$victim)"
        finish
        unset LOCKSTEP_TIMEOUT
        # A launcher that sees a rank die has an exit code of its own for that.
        [ $code -eq 71 ] || { [ $signal = KILL ] && [ $code -ne 0 ]; } || fail "exit $code, expected 71"
        ends $code "^lockstep: error: rank $victim \\(host .*, pid [0-9]+\\) was lost in phase [a-z ]+ at step [0-9]+: .*; start the same command again"

        file=$name/checkpoints/step-$(printf %09d "$(newest $name)").h5
        run info "$file"
        ends 0 verified
        step=$(newest $name)
        steps=$((step + 30))
        # shellcheck disable=SC2086
        run train small.yaml $options run.dir=$name train.steps=$steps
        ends 0 "resuming from step $step " "finished at step $steps"
        # shellcheck disable=SC2086
        launch 0 "$lockstep" train small.yaml $options run.dir=through train.steps=$steps
        ends 0
        same "$(digest $name)" "$(digest through)" "a run that lost rank $victim by SIG$signal"
        same "$(curve $name)" "$(curve through)" "its metrics.csv"
        same "$(find $name/checkpoints -name '.*' -type f | wc -l)" 0 'files left from a lost rank'
        rm -rf through
    done
done
