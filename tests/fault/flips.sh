#!/bin/sh
# SPDX-License-Identifier: MIT
#
# flips.sh: single bits that flip in parameters, moments and copies of other nodes are found and named, every
# one of 200, and what they have spoiled is never saved.
. "$(dirname -- "$0")/../lib.sh"
flip_bits=$5
text text.txt 60
cat >flip.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 8, validation: 0}
model:
  - embedding: {embedding_dim: 24, max_norm: 3, sparse: true}
  - transformer_encoder: {nhead: 2, dim_feedforward: 96}
  - lstm: {hidden_size: 48}
  - linear: {}
train: {steps: 100000, batch_size: 4, clip_norm: 1}
run: {dir: runs/flip}
YAML
launch "$ranks" "$flip_bits" flip.yaml 200
ends 0 '^200 of 200 flips found and named$'
if [ "$ranks" != 0 ]; then
    LOCKSTEP_SHARE=none launch "$ranks" "$flip_bits" flip.yaml 60
    ends 0 '^60 of 60 flips found and named$'
fi
launch "$ranks" "$flip_bits" flip.yaml save
ends 72 "error: memory changed \\(rank [0-9]+ on host [^ ]+, tensor '[a-z0-9_.]+', step 3\\): its exp_avg is not as it was written"
[ -z "$(find runs -name '*.h5' 2>/dev/null)" ] || fail 'what a flip has spoiled was saved'
