#!/bin/sh
# SPDX-License-Identifier: MIT
#
# generate.sh PROGRAM RANKS ...: several prompts at once give the texts that each gives alone, of a recurrent model
# and of one with attention, also behind the end of its window.
. "$(dirname -- "$0")/../lib.sh"
text text.txt 60
for width in 4 1 30; do head -n 2 text.txt | tail -n 1 | cut -c "1-$width"; done >prompts.txt
for layer in 'gru: {hidden_size: 24, initial_state: learned}' \
    'positional_encoding: {}}, {transformer_encoder: {nhead: 2, num_layers: 2, dim_feedforward: 16, causal: true}'; do
    cat >text.yaml <<YAML
run: {dir: text}
data: {kind: text, path: text.txt, seq_len: 24, validation: 0}
model: [{embedding: {embedding_dim: 16}}, {$layer}, linear]
train: {steps: 20, batch_size: 8}
eval: {every: null}
YAML
    rm -rf text
    run train text.yaml
    ends 0
    : >alone
    while IFS= read -r prompt; do
        run generate text/checkpoints/last.h5 --prompt "$prompt" --length 40 --seed 3
        ends 0
        cat out >>alone
    done <prompts.txt
    run generate text/checkpoints/last.h5 --prompts prompts.txt --length 40 --seed 3
    ends 0
    cmp -s out alone || fail 'texts differ from those of single prompts'
done

# What reads ahead cannot write.
for layer in 'gru: {name: it, hidden_size: 4, bidirectional: true}' 'self_attention: {name: it}' \
    'select: {name: it, kind: mean}}, {concat: {input: [embedding, it]}'; do
    printf '%s\n' 'run: {dir: ahead}' 'data: {kind: text, path: text.txt, seq_len: 24, validation: 0}' \
        "model: [{embedding: {embedding_dim: 4}}, {$layer}, linear]" 'train: {steps: 1, batch_size: 8}' >ahead.yaml
    rm -rf ahead
    run train ahead.yaml
    ends 0
    run generate ahead/checkpoints/last.h5 --prompt e --length 4
    ends 2 'layer it is .*: it reads what is yet to be written; train a model with'
done

run generate text/checkpoints/last.h5 --prompts none.txt --length 4
ends 3 'none.txt: cannot be read'
printf 'e\n\n' >empty.txt
run generate text/checkpoints/last.h5 --prompts empty.txt --length 4
ends 3 'empty.txt:2: is empty'
run generate text/checkpoints/last.h5 --prompts prompts.txt --prompt e --length 4
ends 2 'give one of them'
exit 0
