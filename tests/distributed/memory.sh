#!/bin/sh
# SPDX-License-Identifier: MIT
#
# memory.sh: what training takes of memory on 1 and on 4 ranks of a node, within 5 % of the formula.
. "$(dirname -- "$0")/../lib.sh"
rank_memory=$5
[ -r /proc/self/smaps_rollup ] || { echo 'the system does not tell the proportional size of a process'; exit 77; }
[ "$(awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo)" -ge 2000 ] || { echo 'needs 2 GiB of free memory'; exit 77; }
text text.txt 60
cat >memory.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 8, validation: 0}
model:
  - embedding: {num_embeddings: 120000, embedding_dim: 128}
  - lstm: {hidden_size: 512}
  - linear: {}
train: {steps: 100, batch_size: 4, clip_norm: 1}
YAML
for n in 1 4; do
    launch $n "$rank_memory" memory.yaml
    ends 0 "^$n ranks: parameters and packed weights"
    cat out
done
