#!/bin/sh
# SPDX-License-Identifier: MIT
#
# texts.sh PROGRAM RANKS ...: predictions of classes per step, for pairs and for text: joined by default, step by
# step with scores.
. "$(dirname -- "$0")/../lib.sh"

printf 'hello\tohlol\n' >hello.tsv
cat >hello.yaml <<'YAML'
run: {dir: hello}
data: {kind: pairs, path: hello.tsv, validation: 0}
model: [one_hot, {rnn: {hidden_size: 4}}]
optimizer: {lr: 0.1}
train: {batch_size: 1, steps: 100}
eval: {every: null}
YAML
run train hello.yaml
ends 0
run predict hello/checkpoints/last.h5 --data hello.tsv
ends 0
[ "$(cat out)" = "$(printf 'index,predicted\n0,ohlol')" ] || fail 'hello does not give ohlol'
# The answer need not be there, and lines may differ in length.
printf 'hello\nhell\nhello\tohlol\n' >inputs.tsv
run predict hello/checkpoints/last.h5 --data inputs.tsv
ends 0
[ "$(cat out)" = "$(printf 'index,predicted\n0,ohlol\n1,ohlo\n2,ohlol')" ] || fail 'inputs without targets'
run predict hello/checkpoints/last.h5 --data inputs.tsv --logits
ends 0 '^index,step,predicted,logit:h,logit:l,logit:o,logit:3$'
[ "$(wc -l <out)" = 15 ] && [ "$(sed '1d' out | cut -d, -f3 | tr -d '\n')" = ohlolohloohlol ] || fail 'steps'
printf 'help\n' >unknown.tsv
run predict hello/checkpoints/last.h5 --data unknown.tsv
ends 3 'unknown.tsv:1:4: character U\+0070'

text text.txt 120
cat >text.yaml <<'YAML'
run: {dir: text}
data: {kind: text, path: text.txt, seq_len: 32}
model: [{embedding: {embedding_dim: 16}}, {lstm: {hidden_size: 48}}, linear]
optimizer: {lr: 1.0e-2}
train: {epochs: 6}
eval: {every: null}
checkpoint: {every: null}
YAML
run train text.yaml
ends 0
run predict text/checkpoints/last.h5 --data text.txt
ends 0
windows=$(grep -c '^[0-9]*,' out)
[ "$windows" -gt 50 ] || fail "$windows windows"
run predict text/checkpoints/last.h5 --data text.txt --out text.h5
ends 0
[ "$(cat out)" = '' ] || fail 'something on stdout beside a file'
exit 0
