#!/bin/sh
# SPDX-License-Identifier: MIT
#
# attention.sh PROGRAM RANKS ...: predict --attention: one file for every kind of attention, the same alone and on
# ranks; where python3 has h5py: shapes, sums, padding, text; where it has torch: the weights that PyTorch gives.
. "$(dirname -- "$0")/../lib.sh"
python=${LOCKSTEP_PYTHON:-python3}

cat >all.yaml <<'YAML'
run: {dir: all}
data: {kind: synthetic, task: majority, sequences: 40, validation: 0}
model:
  - embedding: {name: emb, embedding_dim: 8}
  - transformer_encoder: {name: enc, nhead: 2, num_layers: 2, dim_feedforward: 16, dropout: 0.1, norm_first: true}
  - multi_head_attention: {name: heads, num_heads: 4, causal: true}
  - self_attention: {name: self}
  - gru: {name: rnn, hidden_size: 8}
  - basic_attention: {name: basic}
  - linear: {name: a}
  - channel_attention: {name: channel, input: rnn}
  - linear: {name: fc}
train: {steps: 3, batch_size: 7}
eval: {every: null}
YAML
run train all.yaml
ends 0
run prepare --synthetic majority --sequences 23 --seed 5 -o new.h5
ends 0
run predict all/checkpoints/last.h5 --data new.h5 --attention weights.h5
ends 0
"$lockstep" predict all/checkpoints/last.h5 --data new.h5 --attention alone.h5 >alone.csv || fail 'alone'
cmp -s weights.h5 alone.h5 || fail 'the file depends on the ranks'
cmp -s out alone.csv || fail 'the predictions depend on the ranks'

run predict all/checkpoints/last.h5 --data new.h5 --attention weights.txt
ends 2 'weights.txt.*does not end in .h5'
run predict all/checkpoints/last.h5 --data new.h5 --attention nowhere/weights.h5
ends 74
sed 's/run: .*/run: {dir: plain}/; /transformer_encoder\|attention/d; /linear: {name: a}/d; /gru/a\  - select: last' all.yaml >plain.yaml
run train plain.yaml
ends 0
run predict plain/checkpoints/last.h5 --data new.h5 --attention weights2.h5
ends 2 'the model has no layer of attention'
[ ! -e weights2.h5 ] || fail 'a file without weights'

if "$python" -c 'import h5py' 2>/dev/null; then
  "$python" "$tests/predict/attention.py" weights.h5 new.h5 all/checkpoints/last.h5 || fail 'python finds other weights'
fi
exit 0
