#!/bin/sh
# SPDX-License-Identifier: MIT
#
# prepare.sh PROGRAM RANKS ...: data made in memory and the same data from a file train alike; series and pairs
# become files that train.
. "$(dirname -- "$0")/../lib.sh"

data_digest() { "$lockstep" info --json "$1" | sed -n 's/.*"data_digest": "\([0-9a-f]\{32\}\)".*/\1/p'; }

run prepare --synthetic parity -o parity.h5 --sequences 200 --seed 7
ends 0 'parity.h5: 200 sequences of 16 steps'
cat >parity.yaml <<'YAML'
run: {dir: made}
data: {kind: synthetic, task: parity, sequences: 200, seed: 7}
model: [{embedding: {embedding_dim: 4}}, {rnn: {hidden_size: 8}}, linear]
train: {steps: 30}
YAML
run train parity.yaml
ends 0 'finished at step 30'
sed 's/^data:.*/data: {kind: sequences, path: parity.h5}/' parity.yaml >file.yaml
run train file.yaml run.dir=read
ends 0 'finished at step 30'
same "$(digest made)" "$(digest read)" 'made in memory and read from a file'
same "$(data_digest made/checkpoints/last.h5)" "$(data_digest parity.h5)" 'digest of the data'
run train parity.yaml run.dir=other data.seed=8
ends 0
differ "$(digest made)" "$(digest other)" 'another seed of the data'
run predict made/checkpoints/last.h5 --data parity.h5
ends 0 '^199,[01]( [01]){15}$'
run train parity.yaml
ends 0 'nothing to do'
run train parity.yaml data.sequences=100
ends 2 'data.sequences: 200 -> 100'

# A series, classes and all; its file trains.
printf 'a,b,c\n' >series.csv
awk 'BEGIN { for (i = 0; i < 90; i++) printf "%d,%.1f,%s\n", i % 7, i / 10, i % 3 ? "p" : "q" }' >>series.csv
run prepare series.csv -o series.h5 --features a,b --targets c --classes --lookback 5 --scaling standard
ends 0 'series.h5: 85 sequences of 5 steps'
cat >series.yaml <<'YAML'
data: {kind: sequences, path: series.h5}
model: [{lstm: {hidden_size: 8}}, {select: last}, linear]
train: {steps: 5}
YAML
run train series.yaml
ends 0 'finished at step 5'
printf 'hello\tohlol\nhell\tohlo\n' >pairs.tsv
run prepare pairs.tsv -o pairs.h5
ends 0 'pairs.h5: 2 sequences of up to 5 steps'

# Text, as ids, trains to the same bits, and still writes text.
text text.txt 80
cat >text.yaml <<'YAML'
run: {dir: text}
data: {kind: text, path: text.txt, tokenizer: word, seq_len: 12}
model: [{embedding: {embedding_dim: 8}}, {gru: {hidden_size: 16}}, linear]
train: {steps: 10}
YAML
run train text.yaml
ends 0
run prepare text.txt -o text.h5 --tokenizer word
ends 0 'text.h5: 720 tokens, vocabulary 17; read it with data: .kind: tokens'
sed 's/^data:.*/data: {kind: tokens, path: text.h5, seq_len: 12}/' text.yaml >tokens.yaml
run train tokens.yaml run.dir=tokens
ends 0
same "$(digest text)" "$(digest tokens)" 'text and its ids'
run generate text/checkpoints/last.h5 --prompt 'the sea' --length 20 --temperature 0
ends 0 '^the sea'
mv out said
run generate tokens/checkpoints/last.h5 --prompt 'the sea' --length 20 --temperature 0
ends 0
cmp -s out said || fail 'another text from ids'
run generate text/checkpoints/last.h5 --prompt 'the zebra' --length 2
ends 3 "'zebra' is not in the vocabulary"
run info text.h5
ends 0 '720 tokens'

# What is wrong is said; nothing is written.
run prepare --synthetic copi -o x.h5
ends 2 '--synthetic copi .*: no such task'
run prepare --synthetic copy
ends 2 '-o OUT.h5 .*: missing'
run prepare --synthetic copy -o x.txt
ends 2 'ending in .h5'
run prepare -o x.h5
ends 2 'INPUT missing'
run prepare series.csv -o x.h5
ends 2 '--features, --targets and --lookback'
run prepare series.csv -o x.h5 --features a,d --targets b --lookback 2
ends 3 'series.csv:1: no column d; there are: a, b, c'
run prepare none.csv -o x.h5 --features a --targets b --lookback 2
ends 3 'none.csv'
run prepare -z
ends 2 '-z .*: unknown option'
run train parity.yaml data.path=parity.h5 run.dir=x
ends 2 'data.path=parity.h5: has no effect with synthetic'
run train parity.yaml data.task=null run.dir=x
ends 2 'data.task=null: missing'
run train series.yaml data.path=null run.dir=x
ends 2 'data.path=null: missing'
[ -e x.h5 ] && fail 'a file of a failed job'
exit 0
