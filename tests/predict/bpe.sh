#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bpe.sh PROGRAM RANKS ...: byte pairs from text to checkpoint and back: train, resume, eval, info, generate, predict, and
# the same model from prepared tokens.
. "$(dirname -- "$0")/../lib.sh"

text text.txt 400
printf 'caf\303\251 \377 and\000 more\n' >>text.txt # not UTF-8, and a NUL byte
cat >text.yaml <<'YAML'
run: {dir: text}
data: {kind: text, path: text.txt, tokenizer: bpe, vocab_size: 400, seq_len: 16}
model: [{embedding: {embedding_dim: 16}}, {lstm: {hidden_size: 32}}, linear]
optimizer: {lr: 1.0e-2}
train: {steps: 40}
eval: {every: null}
checkpoint: {every: 20}
YAML
run train text.yaml
ends 0
whole=$(digest text)
# Resumed from the middle, with the vocabulary learned again.
run train text.yaml run.dir=halves train.steps=20
ends 0
run train text.yaml run.dir=halves
ends 0
[ "$(digest halves)" = "$whole" ] || fail 'a resumed run ends elsewhere'

run eval text/checkpoints/last.h5 --json
ends 0
run info text/checkpoints/last.h5 --json
ends 0 '"vocabulary_size": *[34][0-9][0-9]'
run generate text/checkpoints/last.h5 --prompt "$(printf 'The caf\351 ')" --length 30 --seed 3
ends 0 '^The caf'
run predict text/checkpoints/last.h5 --data text.txt
ends 0
grep -q '^0,' out || fail 'no predictions'
run predict text/checkpoints/last.h5 --data text.txt --logits --out logits.csv
ends 0
head -n 1 logits.csv | grep -q 'index,step,predicted,logit:.*,logit:a,logit:b,' || fail 'no names of classes'
run predict text/checkpoints/last.h5 --data text.txt --out out.h5
ends 0

# Prepared, the ids are the same, if the pairs are learned from the same text.
run prepare text.txt --tokenizer bpe --vocab-size 400 -o tokens.h5
ends 0
sed 's/kind: text, path: text.txt, tokenizer: bpe, vocab_size: 400/kind: tokens, path: tokens.h5/; s/dir: text/dir: tokens/' text.yaml >tokens.yaml
run train tokens.yaml
ends 0
tokens=$(digest tokens)
run train text.yaml run.dir=whole 'data.validation=0'
ends 0
run train tokens.yaml run.dir=whole_tokens 'data.validation=0'
ends 0
[ "$(digest whole)" = "$(digest whole_tokens)" ] || fail 'text and its tokens differ'
[ "$tokens" != "$whole" ] || fail 'validation text was learned from'

run prepare text.txt --tokenizer bpe --vocab-size 100 -o small.h5
ends 2 'data.vocab_size: 100; bpe takes 256'
printf 'a\tb\n' >pair.tsv
run prepare pair.tsv --tokenizer bpe -o pair.h5
ends 2 'bpe is for running text'
exit 0
