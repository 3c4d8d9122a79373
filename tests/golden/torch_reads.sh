#!/bin/sh
# SPDX-License-Identifier: MIT
#
# torch_reads.sh LOCKSTEP WRITE_LOGITS: trains a small text model; its best.h5 must load into PyTorch in one line and
# give the same logits. 77 (skipped) where $LOCKSTEP_PYTHON (python3) has no torch or h5py.
set -eu
lockstep=$1 write_logits=$2 python=${LOCKSTEP_PYTHON:-python3}
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"$python" -c 'import torch, h5py' 2>/dev/null || { echo "$python has no torch or no h5py: skipped"; exit 77; }

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cp "$here/test_golden.c" "$dir/text.txt"
cat >"$dir/small.yaml" <<YAML
run: {dir: '$dir/run'}
data: {kind: text, path: '$dir/text.txt', seq_len: 32, validation: 0.2}
model:
  - embedding: {name: emb, embedding_dim: 12}
  - lstm: {name: rnn, hidden_size: 20, num_layers: 2}
  - linear: {name: fc}
optimizer: {lr: 5.0e-3}
train: {steps: 40, batch_size: 16}
eval: {every: 10}
YAML
"$lockstep" train "$dir/small.yaml"
"$write_logits" "$dir/run/checkpoints/best.h5" "$dir/logits.bin"
PYTHONDONTWRITEBYTECODE=1 "$python" "$here/torch_reads.py" "$dir/run/checkpoints/best.h5" "$dir/logits.bin"
