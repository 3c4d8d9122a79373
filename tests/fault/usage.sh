#!/bin/sh
# SPDX-License-Identifier: MIT
#
# usage.sh: exit 2: command line, config, sizes, ranks that do not fit, resuming with another config.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
write_model
shards=$((ranks > 1 ? ranks : 1))

# ---- command line ------------------------------------------------------------------------------------
run trian small.yaml
ends 2 "trian \\(command line\\): no such command, did you mean 'train'\\?"
run train small.yaml --resmue auto
ends 2 '--resmue \(command line\): unknown option; see `lockstep train --help`'
run train small.yaml --resume
ends 2 '--resume \(command line\): needs a value'
run train
ends 2 'CONFIG missing \(command line\); usage: '
run train small.yaml steps
ends 2 'steps \(command line\): not of the form key=value'
run generate missing.h5 --prompt a --length ten
ends 2 '--length ten \(command line\): not a whole number'
run bench
ends 2 'CONFIG missing'
run info
ends 2 'info takes one FILE'
run train missing.yaml
ends 2 '\(missing.yaml\): No such file.*; '

# ---- config --------------------------------------------------------------------------------------------
cat >wrong.yaml <<YAML
data: {kind: text, path: text.txt}
optimizer: {lrr: 1, lr: fast}
train:
  steps: 10
  batch_size: -4
  steps: 20
model:
  - lstn: {hidden_size: 3}
  - linear: {}
YAML
run train wrong.yaml
ends 2 "^lockstep: error: wrong.yaml:2:13: optimizer.lrr: unknown key, did you mean 'lr'\\?" \
    '^wrong.yaml:2:25: optimizer.lr: .*fast' '^wrong.yaml:5:15: train.batch_size: .*-4' \
    '^wrong.yaml:6:3: train.steps: ' "^wrong.yaml:8:5: .*lstn.*'lstm'"
run train small.yaml optimizer.lrr=1
ends 2 "command line: optimizer.lrr=1: unknown key, did you mean 'lr'"
run train small.yaml model.7.hidden_size=4
ends 2 'command line: model.7.hidden_size=4: '
run train small.yaml model.rnn.hidden_size=many
ends 2 'command line: model.rnn.hidden_size=many: .*many'
run train small.yaml train.max_time=soon
ends 2 'train.max_time=soon: expected 90s, 3h50m or HH:MM:SS'
printf 'data: [1, 2\n' >open.yaml
run train open.yaml
ends 2 'open.yaml:[0-9]+:[0-9]+: '
: >empty.yaml
run train empty.yaml
ends 2 'empty.yaml'

# ---- what does not fit ----------------------------------------------------------------------------------
run train small.yaml model.rnn.hidden_size=10000000
ends 2 'memory' '; '
run train small.yaml train.batch_size=1000000000000 data.seq_len=100
ends 2 'memory|overflow'
run train small.yaml loss.kind=mse
ends 2 'command line: loss.kind=mse: mse needs .*; use cross_entropy'
run train small.yaml data.kind=sequences data.validation=0 data.path="$golden/mse_sequences.h5"
ends 2 'loss.kind: cross_entropy needs classes, .*set loss.kind: mse'
run train small.yaml data.kind=sequences data.validation=0 data.path="$golden/select_final.h5" loss.kind=mse
ends 2 'loss.kind: mse needs real targets, .*set loss.kind: cross_entropy'
run train small.yaml model.emb.num_embeddings=3
ends 2 'num_embeddings.* 3'
run train small.yaml model.fc.out_features=3
ends 2 'out_features.* 3'
LOCKSTEP_ISA=abacus
export LOCKSTEP_ISA
run train small.yaml
ends 2 'LOCKSTEP_ISA=abacus \(environment\): .* use one of'
unset LOCKSTEP_ISA
if [ "$ranks" -gt 1 ]; then
    run train small.yaml train.shards=1
    ends 2 "$ranks ranks but only 1 shards: .*at most 1 ranks or set train.shards=$ranks"
    # One config per rank, as from a directory that is not shared.
    launch "$ranks" sh -c 'exec "$0" train small.yaml run.seed="${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-$PMI_RANK}}"' "$lockstep"
    ends 2 'ranks 0 and 1 differ in program, kernels or config; start '
    launch "$ranks" sh -c '[ "${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-$PMI_RANK}}" = 0 ] || set -- bad.key=1; exec "$0" train small.yaml "$@"' "$lockstep"
    ends 2 'command line: bad.key=1: .*\[rank 1\]'
fi
[ ! -e runs ] || fail 'a refused command left a run directory'

# ---- resuming ---------------------------------------------------------------------------------------------
run train small.yaml train.shards="$shards"
ends 0
before=$(snapshot runs/small)
run train small.yaml --resume never
ends 2 'small: --resume never, but it holds [0-9]+ checkpoints; choose another run.dir=, e.g. run.dir='
run train small.yaml optimizer.lr=0.5 run.seed=7 model.rnn.hidden_size=9 data.seq_len=8 train.steps=30
ends 2 'resume: the config differs' '^  run.seed: 1 -> 7$' '^  data.seq_len: 12 -> 8$' '^  model.rnn.hidden_size: 7 -> 9$' \
    '^  optimizer.lr: 0.001 -> 0.5'
! grep -q 'train.steps' err || fail 'train.steps may change on resume'
sed 's/pale/PALE/' text.txt >other.txt
run train small.yaml train.steps=30 data.path=other.txt
ends 2 'data.path: the data has changed since the checkpoint'
first=$(ls runs/small/checkpoints/step-*.h5 | head -n 1)
run train small.yaml train.steps=30 --resume "$first"
ends 2 'is of step [0-9]+, but the run directory holds step [0-9]+; choose another run.dir='
same "$(snapshot runs/small)" "$before" 'the run directory after refused commands'
run eval runs/small/checkpoints/last.h5 --split test
ends 2 '--split test \(command line\): not train, validation or all'
run generate runs/small/checkpoints/last.h5 --length 5
ends 2 '--prompt TEXT missing'
