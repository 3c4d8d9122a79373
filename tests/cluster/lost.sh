#!/bin/sh
# SPDX-License-Identifier: MIT
#
# lost.sh PROGRAM RANKS MPIEXEC FLAG FAULT...: a rank or a host of several is lost, or its network. The job ends
# by itself within a bounded time, launcher included; a line names who was lost; the newest checkpoint is whole,
# and the run goes on from it on the hosts that are left, to the state of a run that lost nobody. Faults:
#     kill, stop    a rank on another host than the launcher's, by that signal
#     host          all processes of that host at once
#     cut           its cable
. "$(dirname -- "$0")/hosts.sh"
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
shift 4
make_hosts 3
write_model
options='train.shards=4 log.every=1 checkpoint.every=25 checkpoint.keep=2 eval.every=40'
# How this launcher treats a job that has lost a rank belongs to the test.
unset OMPI_MCA_odls_base_sigkill_timeout
limit=40 # the time out, its margin between hosts, and what a launcher gets that has lost its host
who='lockstep: error: rank [0-9] \(host host2, pid [0-9]+\) was lost in phase [a-z ]+ at step [0-9]+.*: .*; start the same command again'

# shellcheck disable=SC2086 # options are words
for fault in "$@"; do
    case $fault in
    kill) layouts=host1:2,host2:2 ;;
    host) layouts=host1:1,host2:1,host3:1 ;;
    *) layouts='host1:2,host2:2 host1:1,host2:1,host3:1' ;;
    esac
    for where in $layouts; do
        run=$fault-$where
        export LOCKSTEP_TIMEOUT=5 # of this job alone: the others lose nobody, and on a busy machine take longer to start
        # shellcheck disable=SC2016 # the inner shell expands
        start_on $where sh -c 'echo $$ >"pid.$OMPI_COMM_WORLD_RANK"; exec "$@"' sh \
            "$lockstep" train small.yaml $options train.steps=100000000 run.dir="$run"
        patience "$limit" has_row "$run" 60 || fail 'never came to step 60'
        victim=$((total > 3 ? 2 : 1))
        case $fault in
        kill) kill -KILL "$(cat pid.$victim)" ;;
        stop) kill -STOP "$(cat pid.$victim)" ;;
        host) kill_host host2 ;;
        cut) cut_cable host2 ;;
        esac
        finish
        unset LOCKSTEP_TIMEOUT
        case $fault in
        stop) ends 71 "$who" ;;
        # Open MPI sees that a process or a host is gone, and ends the ranks, maybe before one of them can speak.
        kill) [ $code -ne 0 ] && says "$who|process rank $victim with PID [0-9]* on node host2 exited on signal 9" ;;
        host) [ $code -ne 0 ] && says "$who|Remote daemon: .* on node host2" ;;
        # It waits for the unreachable host without end; a rank ends it too.
        cut) [ $code -ne 0 ] && says "$who" ;;
        esac || fail "exit $code"
        [ "$(messages)" -le 1 ] || fail "$(messages) error messages"
        mend_cable host2

        step=$(newest "$run")
        launch 0 "$lockstep" info "$run/checkpoints/step-$(printf %09d "$step").h5"
        ends 0 verified
        steps=$((step + 30))
        on host1:2,host3:2 "$lockstep" train small.yaml $options run.dir="$run" train.steps=$steps
        ends 0 "resuming from step $step " "finished at step $steps"
        launch 0 "$lockstep" train small.yaml $options run.dir=through train.steps=$steps
        ends 0
        same "$(digest "$run")" "$(digest through)" "a run that lost a $fault on $where"
        rm -rf through
    done
done
