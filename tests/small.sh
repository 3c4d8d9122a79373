# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# small.sh: a small text model: small.yaml, 12 steps, a checkpoint every 4.
write_model() {
    text text.txt 60
    cat >small.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 12, validation: 0.1}
model:
  - embedding: {name: emb, embedding_dim: 5}
  - lstm: {name: rnn, hidden_size: 7}
  - dropout: {p: 0.2}
  - linear: {name: fc}
train: {steps: 12, batch_size: 6, shards: 2}
checkpoint: {every: 4, keep: null}
eval: {every: 4}
log: {every: 2}
YAML
}
