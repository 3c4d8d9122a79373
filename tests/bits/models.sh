# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# models.sh: the models of the tests of bits, 20 steps each in 4 shards, and how variants of a run are compared.
# Together: dropout, clipping, ragged lengths, a short last batch with fewer sequences than shards, a batch of
# one sequence, fewer sequences than ranks, targets with lengths of their own, batches of similar length,
# evaluations on the way, tables whose update looks at the ids of all ranks and whose rows two owners share.
models="text classes values pairs decoded rows"

write_models() {
    text text.txt 39
    cat >text.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 12, validation: 0.1}
model:
  - embedding: {embedding_dim: 11}
  - lstm: {hidden_size: 19, num_layers: 2, dropout: 0.3}
  - dropout: {p: 0.1}
  - linear: {}
optimizer: {lr: 1.0e-2}
train: {steps: 20, batch_size: 7, shards: 4, clip_norm: 0.2}
eval: {every: 5}
log: {every: 1}
YAML
    cat >classes.yaml <<YAML
data: {kind: sequences, path: $golden/select_final.h5, validation: 0.2}
model:
  - embedding: {embedding_dim: 6}
  - gru: {hidden_size: 9, bidirectional: true}
  - select: final
  - linear: {}
optimizer: {name: adamw, lr: 1.0e-2, weight_decay: 0.01}
schedule: {kind: cosine, steps: 20, warmup: 3}
train: {steps: 20, batch_size: 4, shards: 4}
eval: {every: 5}
log: {every: 1}
YAML
    cat >values.yaml <<YAML
data: {kind: sequences, path: $golden/mse_sequences.h5, validation: 0}
model:
  - layer_norm: {}
  - rnn: {hidden_size: 13, nonlinearity: relu, num_layers: 2}
  - select: mean
  - linear: {}
loss: {kind: mse, reduction: sum}
optimizer: {name: sgd, lr: 1.0e-2, momentum: 0.9}
train: {steps: 20, batch_size: 5, shards: 4, clip_norm: 1}
log: {every: 1}
YAML
    printf 'one\t1\ntwo\t2\nten\t10\neleven\t11\ntwelve\t12\ntwenty\t20\nhundred\t100\nthousand\t1000\n' >ragged.tsv
    cat >decoded.yaml <<YAML
data: {kind: pairs, path: ragged.tsv, validation: 0.2, bucket: true}
model:
  - encoder: [{embedding: {embedding_dim: 7}}, {gru: {hidden_size: 9, bidirectional: true}}, {select: final}]
  - decoder:
      - embedding: {name: emb, embedding_dim: 5}
      - concat: {input: [emb, encoder]}
      - lstm: {hidden_size: 11, num_layers: 2, dropout: 0.3}
      - linear: {}
train: {steps: 20, batch_size: 3, shards: 4}
eval: {every: 5}
log: {every: 1}
YAML
    # Several buckets; not among the models of every test.
    cat >wide.yaml <<YAML
data: {kind: text, path: text.txt, seq_len: 8, validation: 0.1}
model:
  - embedding: {num_embeddings: 3000, embedding_dim: 128}
  - transformer_encoder: {nhead: 4, num_layers: 3, dim_feedforward: 512, dropout: 0.1}
  - lstm: {hidden_size: 256, num_layers: 2}
  - linear: {}
train: {steps: 20, batch_size: 8, shards: 4, clip_norm: 1}
eval: {every: 5}
log: {every: 1}
YAML
    # Tables that are large against the batch: two that are counted for that, one with rules, one whose rows the head
    # uses all. Not among the models of every test.
    printf 'hello\tohlol\nworlds\tsdlrow\nstill\tllits\nno\ton\n' >large.tsv
    cat >large.yaml <<YAML
data: {kind: pairs, path: large.tsv, validation: 0}
model:
  - embedding: {name: one, num_embeddings: 9000, embedding_dim: 37, input: data}
  - embedding: {name: two, num_embeddings: 5000, embedding_dim: 64, input: data}
  - embedding: {name: few, num_embeddings: 70001, embedding_dim: 16, sparse: true, max_norm: 2, input: data}
  - embedding: {name: shared, num_embeddings: 20000, embedding_dim: 16, input: data}
  - concat: {input: [one, two, few, shared]}
  - gru: {hidden_size: 16, dropout: 0.1}
  - linear: {out_features: 20000, tie: shared}
optimizer: {lr: 1.0e-2}
train: {steps: 20, batch_size: 4, shards: 4, clip_norm: 0.5}
log: {every: 1}
YAML
    cat >rows.yaml <<YAML
data: {kind: pairs, path: ragged.tsv, validation: 0.2}
model:
  - encoder:
      - embedding: {embedding_dim: 7, max_norm: 1.5, sparse: true, num_embeddings: 70001}
      - gru: {hidden_size: 9, bidirectional: true}
      - select: final
  - decoder:
      - embedding: {name: emb, embedding_dim: 5, scale_grad_by_freq: true, max_norm: 2, norm_type: 3, padding_idx: 1}
      - concat: {input: [emb, encoder]}
      - lstm: {hidden_size: 11, dropout: 0.3}
      - linear: {}
optimizer: {lr: 2.0e-2}
train: {steps: 20, batch_size: 3, shards: 4, clip_norm: 0.5}
eval: {every: 5}
log: {every: 1}
YAML
    printf 'hello\tohlol\nworld\tdlrow\nstill\tllits\n' >pairs.tsv
    cat >pairs.yaml <<YAML
data: {kind: pairs, path: pairs.tsv, validation: 0}
model:
  - one_hot: {}
  - rnn: {hidden_size: 9, bidirectional: true}
  - linear: {}
train: {steps: 20, batch_size: 1, shards: 4}
log: {every: 1}
YAML
}

# references: every model once, alone, on one thread, without interruption
references() {
    write_models
    for model in $models; do
        OMP_NUM_THREADS=1 launch 0 "$lockstep" train $model.yaml
        ends 0 'finished at step 20'
        # 13 batches of 7 and one of 2
        [ $model != text ] || says ': 93 training '
    done
}

# variant MODEL RANKS THREADS WHAT [ARGUMENT...]: the same run another way: same state, same metrics
variant() {
    model=$1 n=$2 threads=$3 what="$4: $1 on $2 ranks, $3 threads"
    shift 4
    rm -rf runs/variant
    OMP_NUM_THREADS=$threads launch "$n" "$lockstep" train $model.yaml run.dir=runs/variant "$@"
    ends 0 'finished at step 20'
    compare "$what"
}

compare() {
    same "$(digest runs/variant)" "$(digest runs/$model)" "$1"
    same "$(curve runs/variant)" "$(curve runs/$model)" "$1: metrics.csv"
}

# halves MODEL RANKS THREADS RANKS THREADS: 10 steps, then 10 more on other ranks and threads
halves() {
    model=$1
    rm -rf runs/variant
    OMP_NUM_THREADS=$3 launch "$2" "$lockstep" train $model.yaml run.dir=runs/variant train.steps=10
    ends 0 'finished at step 10'
    differ "$(digest runs/variant)" "$(digest runs/$model)" "$model: half of the way"
    OMP_NUM_THREADS=$5 launch "$4" "$lockstep" train $model.yaml run.dir=runs/variant
    ends 0 'resuming from step 10 ' 'finished at step 20'
    compare "$model: 10 steps on $2 ranks and 10 on $4"
}
