#!/bin/sh
# SPDX-License-Identifier: MIT
#
# stopped.sh: exit 75: a signal or the time limit ends a run at one step of all ranks, with a checkpoint, from
# which the run goes on to the state of one that was never stopped.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
write_model
endless='train.steps=100000000 log.every=1 checkpoint.every=50 checkpoint.keep=2 eval.every=40'

# stopped RUN PATTERN: the job ended early, as it should; goes on for five steps and compares
stopped() {
    ends 75 "stopped at step [0-9]+ by $2; the same command goes on from here"
    step=$(sed -n 's/^stopped at step \([0-9]*\) by .*/\1/p' err)
    same "$(newest "$1")" "$step" 'the step of the newest checkpoint'
    same "$(sed -n '$p' "$1/metrics.csv" | cut -d, -f1,3)" "$step,validation" 'the last row of metrics.csv'
    steps=$((step + 5))
    # shellcheck disable=SC2086 # options
    run train small.yaml $endless run.dir="$1" train.steps=$steps train.max_time=null
    ends 0 "resuming from step $step " "finished at step $steps"
    # shellcheck disable=SC2086
    launch 0 "$lockstep" train small.yaml $endless run.dir=through train.steps=$steps
    ends 0
    same "$(digest "$1")" "$(digest through)" "a run that was stopped at step $step and went on"
    rm -rf through
}

# shellcheck disable=SC2086
run train small.yaml $endless run.dir=time train.max_time=1s
stopped time train.max_time

# To a launcher only SIGUSR1 can be sent: it passes that on and ends the job on the others.
signals='USR1'
[ "$ranks" -gt 0 ] || signals='USR1 TERM INT'
for signal in $signals; do
    # shellcheck disable=SC2086
    start "$ranks" "$lockstep" train small.yaml $endless run.dir="$signal"
    patience "$limit" has_row "$signal" 20 || fail 'never came to step 20'
    kill -"$signal" "$job"
    finish
    stopped "$signal" "SIG$signal"
done

# One rank alone hears of it; all stop.
if [ "$ranks" -gt 1 ]; then
    # shellcheck disable=SC2016,SC2086 # the inner shell expands
    start "$ranks" sh -c 'echo $$ >"pid.${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-$PMI_RANK}}"; exec "$@"' sh \
        "$lockstep" train small.yaml $endless run.dir=one
    patience "$limit" has_row one 20 || fail 'never came to step 20'
    kill "$(cat pid.1)"
    finish
    stopped one 'a signal on another rank'
fi

# A second signal does not wait for anything; what was saved before is whole.
# shellcheck disable=SC2086
start 0 "$lockstep" train small.yaml $endless run.dir=twice model.rnn.hidden_size=192 checkpoint.every=4 checkpoint.async=false
patience "$limit" has_row twice 5 || fail 'never came to step 5'
kill -TERM "$job" && kill -USR1 "$job"
finish
[ $code -eq 138 ] || [ $code -eq 143 ] || fail "exit $code after two signals, expected 128 and the number of one"
run info "twice/checkpoints/step-$(printf %09d "$(newest twice)").h5"
ends 0 verified
