#!/bin/sh
# SPDX-License-Identifier: MIT
#
# json.sh: --json gives one object with the agreed keys and nothing else. 77 (skipped) without python3.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
python=${LOCKSTEP_PYTHON:-python3}
"$python" -c 'import json' 2>/dev/null || { echo "no $python: skipped" && exit 77; }
write_model

# object KIND: what the last job printed
object() {
    ends 0
    [ ! -s err ] || fail 'more than the object'
    "$python" "$tests/usage/json_keys.py" "$1" <out || fail "not the agreed object of $1"
}

run train small.yaml
ends 0
run eval runs/small/checkpoints/best.h5 --json
object eval
run info runs/small/checkpoints/best.h5 --json
object info
run bench small.yaml --steps 3 --json
object bench
run bench small.yaml --steps 3 --json --network 10GbE,20us
object bench_comm
if [ "$ranks" -gt 1 ]; then
    run bench small.yaml comm.share=none --steps 3 --json
    object bench_nodes
fi
cat >values.yaml <<YAML
data: {kind: sequences, path: $golden/mse_sequences.h5, validation: 0}
model: [gru: {hidden_size: 4}, select: last, linear: {}]
loss: {kind: mse}
train: {steps: 3, batch_size: 6}
YAML
run train values.yaml
ends 0
run eval runs/values/checkpoints/last.h5 --json
object eval_values
run info "$golden/mse_sequences.h5" --json
object info_data

# A binding of OpenMP's threads leaves a rank all of its cores.
if [ "$ranks" -eq 0 ]; then
    for bind in false close; do
        env -u OMP_NUM_THREADS OMP_PROC_BIND=$bind "$lockstep" bench small.yaml --steps 3 --json >"bind_$bind" ||
            fail "bench with OMP_PROC_BIND=$bind"
    done
    "$python" -c 'import json, sys; raise SystemExit(len({json.load(open(f))["threads"] for f in sys.argv[1:]}) > 1)' bind_false bind_close ||
        fail 'OMP_PROC_BIND changes the number of threads'
    # What a machine of two third-level caches would be told.
    HWLOC_SYNTHETIC='l3:2 core:1 pu:1' OMP_NUM_THREADS=2 "$lockstep" bench small.yaml --steps 3 >apart || fail 'bench on two caches'
    grep -q '^the threads of a rank spread over 2 third-level caches' apart || fail 'bench on two caches says nothing of them'
fi
