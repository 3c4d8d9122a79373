#!/bin/sh
# SPDX-License-Identifier: MIT
#
# memory.sh: what training takes of memory, within 5 % of the formula: mostly parameters, on 1 and on 4 ranks of a
# node; mostly activations, kept and recomputed.
. "$(dirname -- "$0")/../lib.sh"
rank_memory=$5
[ -r /proc/self/smaps_rollup ] || { echo 'the system does not tell the proportional size of a process'; exit 77; }
[ "$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)" -ge 2000 ] || { echo 'needs 2 GiB of free memory'; exit 77; }
text text.txt 60
cat >memory.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 8, validation: 0}
model:
  - embedding: {embedding_dim: 128}
  - lstm: {hidden_size: 512}
  - linear: {out_features: 30000}
train: {steps: 100, batch_size: 4, clip_norm: 1}
YAML
text long.txt 400
cat >kept.yaml <<YAML
data: {kind: text, path: long.txt, seq_len: 128, validation: 0}
model:
  - embedding: {embedding_dim: 128}
  - transformer_encoder: {nhead: 4, num_layers: 8, dim_feedforward: 512, norm_first: true, activation: gelu, causal: true}
  - lstm: {hidden_size: 128, num_layers: 3}
  - linear: {}
train:
  steps: 100
  batch_size: 48
YAML
{ cat kept.yaml && echo '  recompute: all'; } >recomputed.yaml
takes() {
    launch "$2" "$rank_memory" "$1.yaml"
    ends 0 "^$2 ranks: parameters and packed weights"
    cat out
}
takes memory 1
takes memory 4
takes kept 1
takes recomputed 1
