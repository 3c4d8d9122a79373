#!/bin/sh
# SPDX-License-Identifier: MIT
#
# trace.sh: train --trace writes what Perfetto opens, changes no bits, keeps its bounds, and says what is wrong. 77
# (skipped) without python3.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
python=${LOCKSTEP_PYTHON:-python3}
"$python" -c 'import json' 2>/dev/null || { echo "no $python: skipped" && exit 77; }
export LOCKSTEP_SHARE=none # ranks as nodes, so that there are messages
write_model

# traced FILE WARNED: the structure is right
traced() { "$python" "$tests/usage/trace_check.py" "$1" "$ranks" "$2" || fail "not a trace: $1"; }

run train small.yaml
ends 0
run train small.yaml run.dir=traced --trace t.json
ends 0
same "$(digest traced)" "$(digest runs/small)" 'with and without a trace'
traced t.json whole

run train small.yaml run.dir=long --trace long.json train.steps=6000 checkpoint.every=6000 eval.every=6000 log.every=6000
ends 0 'warning: trace: the first 50000 spans of each rank are kept, [0-9]+ more are not'
traced long.json bounded

run train small.yaml run.dir=other --dry-run --trace t2.json
ends 2 '--trace .*--dry-run writes nothing'
run train small.yaml run.dir=other --trace nowhere/t.json
ends 74 'trace \(nowhere/t.json\): No such file'
