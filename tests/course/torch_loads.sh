#!/bin/sh
# SPDX-License-Identifier: MIT
#
# torch_loads.sh PROGRAM RANKS MPIEXEC FLAG: the best.h5 of three configs of the course, shortened, loads into PyTorch's
# modules in one line, every name and shape, and gives the validation loss that `eval` gives. Skipped where
# $LOCKSTEP_PYTHON (python3) has no torch or h5py.
. "$(dirname -- "$0")/../lib.sh"
python=${LOCKSTEP_PYTHON:-python3}
"$python" -c 'import torch, h5py' 2>/dev/null || { echo "$python has no torch or no h5py: skipped"; exit 77; }

# loads CONFIG DATA KEY=VALUE...
loads() {
    config=$1 data=$2
    shift 2
    in_tree "$ranks" train "configs/$config.yaml" run.dir="$here/$config" train.epochs=2 "$@"
    ends 0 'finished at step'
    in_tree "$ranks" eval "$here/$config/checkpoints/best.h5" --json
    ends 0
    loss=$(sed -n 's/^ *"loss": \([0-9.e-]*\),/\1/p' out)
    launch 0 env PYTHONDONTWRITEBYTECODE=1 "$python" "$tests/course/torch_loads.py" "$config" "$config/checkpoints/best.h5" "$data" "$loss"
    [ $code -eq 0 ] || fail "$config: eval says loss $loss"
    cat out
}

launch 0 "$lockstep" prepare --synthetic adding -o adding.h5 --sequences 300
ends 0
loads encoder adding.h5 data.sequences=300
loads sentiment "$tests/../configs/data/sentiment.h5"
loads bilstm "$tests/../configs/data/words.tsv"
