#!/bin/sh
# SPDX-License-Identifier: MIT
#
# terminal.sh: a line of progress that is drawn over on a terminal, and nowhere else. 77 (skipped) without script(1).
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
script -qec true /dev/null >/dev/null 2>&1 </dev/null || { echo 'no script that takes -qec: skipped' && exit 77; }
write_model
export SHELL=/bin/sh
# Saving takes longer than training here.
sed 's/every: 4/every: null/' small.yaml >fast.yaml
escape=$(printf '\033')

# on_terminal COMMAND: a shell command whose stdout and stderr are a terminal; what appears there is in `out`
on_terminal() {
    command=$1
    : >err
    timeout 60 script -qec "$1" /dev/null >out </dev/null
    code=$?
    [ $code -eq 0 ] || fail "exit $code, expected 0"
}

on_terminal "'$lockstep' train fast.yaml train.steps=3000"
grep -q "$(printf '\r')$escape\[Kstep [0-9]*/3000 | epoch .* | loss [0-9.]* | " out || fail 'no line of progress'
says "finished at step 3000"
on_terminal "'$lockstep' train fast.yaml run.dir=lines train.steps=300 log.progress=lines"
! grep -q "$escape" out || fail 'log.progress: lines draws'
says '^step 2/300 '
# One of the two goes elsewhere: plain lines, as in a file.
on_terminal "'$lockstep' train fast.yaml run.dir=half train.steps=300 2>lines.txt"
plain_lines() { ! grep -q "$escape" "$1" && grep -q '^step 2/300 ' "$1"; }
plain_lines lines.txt || fail 'a drawn line outside of the terminal'
if [ "$ranks" -gt 0 ]; then
    on_terminal "'$mpiexec' $flag $ranks '$lockstep' train fast.yaml run.dir=ranks train.steps=300"
    plain_lines out || fail 'ranks draw a line'
    # A launcher may give its ranks a terminal; it is not the user's.
    on_terminal "OMPI_COMM_WORLD_SIZE=1 '$lockstep' train fast.yaml run.dir=launched train.steps=300"
    plain_lines out || fail 'a rank draws a line'
fi
