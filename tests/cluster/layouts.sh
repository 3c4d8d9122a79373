#!/bin/sh
# SPDX-License-Identifier: MIT
#
# layouts.sh: the same state on one host and on several, over TCP, for a recurrent model and one with
# attention; also when a run goes on from a checkpoint on other hosts.
. "$(dirname -- "$0")/hosts.sh"
. "$(dirname -- "$0")/../lib.sh"
make_hosts 3
text text.txt 60
cat >lstm.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 12, validation: 0.1}
model:
  - embedding: {embedding_dim: 33}
  - lstm: {hidden_size: 61, dropout: 0.2, num_layers: 2}
  - linear: {}
train: {steps: 12, batch_size: 9, shards: 4, clip_norm: 0.3}
checkpoint: {every: 4, keep: null}
eval: {every: 4}
log: {every: 2}
YAML
cat >gpt.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 12, validation: 0.1}
model:
  - embedding: {embedding_dim: 48}
  - positional_encoding: {kind: learned}
  - transformer_encoder: {nhead: 3, num_layers: 2, dim_feedforward: 96, dropout: 0.1, norm_first: true, causal: true}
  - linear: {}
optimizer: {name: adamw, weight_decay: 0.01}
train: {steps: 12, batch_size: 9, shards: 4, clip_norm: 0.3}
checkpoint: {every: 4, keep: null}
eval: {every: 4}
log: {every: 2}
YAML
for model in lstm gpt; do
    launch 0 "$lockstep" train $model.yaml run.dir=runs/$model
    ends 0 'finished at step 12'
    want=$(digest runs/$model)
    for layout in host1:4 host1:2,host2:2 host1:2,host2:1 host1:1,host2:1,host3:1; do
        on $layout "$lockstep" train $model.yaml run.dir=runs/there
        hosts=$(echo $layout | tr -cd h | wc -c)
        ends 0 'finished at step 12' "^$total ranks on $hosts node"
        same "$(digest runs/there)" "$want" "$model on $layout"
        same "$(curve runs/there)" "$(curve runs/$model)" "$model on $layout: metrics.csv"
        rm -rf runs/there
    done
    on host1:2,host2:2 "$lockstep" train $model.yaml run.dir=runs/there train.steps=4
    ends 0 'finished at step 4'
    on host1:1,host2:1,host3:1 "$lockstep" train $model.yaml run.dir=runs/there train.steps=8
    ends 0 'resuming from step 4 ' 'finished at step 8'
    on host2:1,host1:3 "$lockstep" train $model.yaml run.dir=runs/there
    ends 0 'resuming from step 8 ' 'finished at step 12'
    same "$(digest runs/there)" "$want" "$model, each third on other hosts"
    rm -rf runs/there
done
