#!/bin/sh
# SPDX-License-Identifier: MIT
#
# decode.sh PROGRAM RANKS ...: a model with a decoder from ragged pairs to what it writes: greedy, beam, drawn,
# cut; with targets, without, from HDF5; the same on any number of ranks; and what is refused.
. "$(dirname -- "$0")/../lib.sh"

printf 'one\t1\ntwo\t2\nten\t10\neleven\t11\ntwelve\t12\ntwenty\t20\nhundred\t100\n' >words.tsv
cat >words.yaml <<'YAML'
run: {dir: words}
data: {kind: pairs, path: words.tsv, validation: 0}
model:
  - encoder: [{embedding: {embedding_dim: 12}}, {gru: {hidden_size: 24}}]
  - decoder:
      - embedding: {embedding_dim: 12}
      - gru: {name: rnn, hidden_size: 24}
      - basic_attention: {name: look, input: [encoder, rnn]}
      - concat: {input: [rnn, look]}
      - linear: {}
optimizer: {lr: 1.0e-2}
train: {steps: 90, batch_size: 3, shards: 2}
eval: {every: null}
checkpoint: {every: 40}
log: {every: 45, predictions: 2}
YAML
run train words.yaml
ends 0 'vocabulary 3' 'predicted 1, target 1' 'predicted 2, target 2'
last=words/checkpoints/last.h5

predict() { run predict "$last" --data "$@"; }

# text FILE: the column of the predictions
said() { sed '1d' "$1" | cut -d, -f2 | tr '\n' ' '; }
all='1 2 10 11 12 20 100 '

predict words.tsv
ends 0 '7 sequences: exact match 1 \(7\), loss 0\.0'
[ "$(sed -n 1p out)" = index,predicted,log_probability ] || fail 'first line'
[ "$(said out)" = "$all" ] || fail 'not what was learned'
mv out greedy.csv
# A probability is the product of what the loss sums: 20 steps with the ends.
loss=$(sed -n 's/.*loss \([0-9.e-]*\), .*/\1/p' err)
awk -F, -v loss="$loss" 'FNR > 1 { sum -= $3 } END { exit (sum / 20 - loss) ^ 2 > 1e-12 }' greedy.csv ||
    fail 'loss and probabilities differ'
launch 0 "$lockstep" predict $last --data words.tsv --out alone.csv
ends 0
cmp -s alone.csv greedy.csv || fail 'ranks change what is written'

cut -f1 words.tsv >inputs.txt
predict inputs.txt --out inputs.csv
ends 0
grep -q 'exact match' err && fail 'a match with nothing'
cmp -s inputs.csv greedy.csv || fail 'targets change what is written'
predict words.tsv --beam 1 --out beam.csv
ends 0
cmp -s beam.csv greedy.csv || fail 'a beam of one is not greedy'
predict words.tsv --beam 3 --length-penalty 0.5
ends 0 'exact match 1 '
[ "$(said out)" = "$all" ] || fail 'beam'
mv out beam.csv
launch 0 "$lockstep" predict $last --data words.tsv --beam 3 --length-penalty 0.5 --out alone.csv
ends 0
cmp -s alone.csv beam.csv || fail 'ranks change what a beam finds'
predict inputs.txt --temperature 0
ends 0
cmp -s out greedy.csv || fail 'temperature 0 is not greedy'
predict inputs.txt --temperature 8 --seed 3 --out drawn.csv
ends 0
launch 0 "$lockstep" predict $last --data inputs.txt --temperature 8 --seed 3 --out alone.csv
cmp -s alone.csv drawn.csv || fail 'ranks change what is drawn'
predict inputs.txt --temperature 8 --seed 4
differ "$(cksum <out)" "$(cksum <drawn.csv)" 'another seed'
predict inputs.txt --max-length 2
ends 0 'warning: 5 of 7 results reached the maximum length'
[ "$(said out)" = '1 2 10 11 12 20 10 ' ] || fail 'not cut'

# What was written step by step is as probable as the model finds it when it reads the whole of it.
reread() {
    tr -d '"' <"$1" >bare.csv
    sed 1d bare.csv | cut -d, -f2 | paste inputs.txt - | awk -F'\t' '$2 != ""' >again.tsv
    [ "$(wc -l <again.tsv)" -ge 4 ] || fail "$1: most are empty"
    predict again.tsv --max-length 1
    ends 0 ' loss '
    awk -F, -v loss="$(sed -n 's/.*loss \([0-9.e-]*\), .*/\1/p' err)" '
        FNR > 1 && $2 != "" { sum -= $3; n += length($2) + 1 } END { exit (sum / n - loss) ^ 2 > 1e-11 }' bare.csv ||
        fail "$1: read as a whole it has another probability"
}
reread drawn.csv
reread beam.csv
predict inputs.txt --temperature 8 --seed 5 --out other.csv
reread other.csv
cat >layers.yaml <<'YAML'
run: {dir: layers}
data: {kind: pairs, path: words.tsv, validation: 0}
model:
  - encoder:
      - embedding: {embedding_dim: 12}
      - positional_encoding: {kind: sinusoidal}
      - transformer_encoder: {nhead: 2, dim_feedforward: 16, dropout: 0}
  - decoder:
      - embedding: {embedding_dim: 12}
      - positional_encoding: {kind: learned}
      - transformer_decoder: {nhead: 2, num_layers: 2, dim_feedforward: 16, dropout: 0}
      - multi_head_attention: {num_heads: 2, head_dim: 5, input: [transformer_decoder, encoder]}
      - linear: {}
optimizer: {lr: 1.0e-2}
train: {steps: 60, batch_size: 3, shards: 2}
eval: {every: null}
YAML
run train layers.yaml
ends 0
last=layers/checkpoints/last.h5
for how in '--beam 1' '--beam 4 --length-penalty 0' '--temperature 3 --seed 1'; do
    # shellcheck disable=SC2086
    predict inputs.txt $how --out layers.csv
    ends 0
    reread layers.csv
done
last=words/checkpoints/last.h5

# The weights of attention, of what was written.
predict inputs.txt --attention weights.h5
ends 0
cmp -s out greedy.csv || fail 'looking changes what is written'
sleep 1 # the same bytes at another time
launch 0 "$lockstep" predict $last --data words.tsv --beam 3 --attention alone.h5
ends 0
cmp -s weights.h5 alone.h5 || fail 'ranks or beams change the weights of the same results'
python=${LOCKSTEP_PYTHON:-python3}
if "$python" -c 'import h5py, numpy' 2>/dev/null; then
    "$python" - weights.h5 <<'PYTHON' || fail 'other weights'
import sys, h5py, numpy as np
f = h5py.File(sys.argv[1])
w, steps, targets = f["attention/decoder.look"][()], f["lengths"][()], f["target_lengths"][()]
assert w.shape == (7, 1, 4, 7) and list(targets) == [2, 2, 3, 3, 3, 3, 4]
for n in range(7):
    assert np.allclose(w[n, 0, :targets[n], :steps[n]].sum(1), 1, atol=1e-5)
    assert not w[n, 0, targets[n]:].any() and not w[n, 0, :, steps[n]:].any()
assert list(f["targets"][6]) == [1, 0, 0, 3] and list(f["targets"][0]) == [1, 3, 0, 0]
assert [x.decode() for x in f["target_vocabulary"][()]] == ["0", "1", "2"]
PYTHON
fi

# The same pairs as HDF5, for training and for prediction.
launch 0 "$lockstep" prepare words.tsv -o words.h5 --decoder
ends 0 '7 sequences of up to 7 steps'
launch 0 "$lockstep" info words.h5
ends 0 'targets: sequences of their own, up to 4 steps with the end, vocabulary 3'
predict words.h5 --out words.csv
ends 0 'exact match 1 '
cmp -s words.csv greedy.csv || fail 'HDF5 gives other predictions'
predict words.h5 --out out.h5
ends 0
[ ! -s out ] && [ -s out.h5 ] || fail 'no file'
run train words.yaml run.dir=sequences data.kind=sequences data.path=words.h5
ends 0
same "$(digest sequences)" "$(digest words)" 'pairs from HDF5'
run eval $last --json
ends 0 '"sequences": 7,' '"targets": 20,' '"accuracy": 1(\.0)?,'

# Batches of similar length: resumed in the middle of an epoch, on other ranks.
run train words.yaml run.dir=bucket data.bucket=true
ends 0
differ "$(digest bucket)" "$(digest words)" 'data.bucket'
launch 0 "$lockstep" train words.yaml run.dir=halves data.bucket=true train.steps=40
ends 0
run train words.yaml run.dir=halves data.bucket=true
ends 0 'resuming from step 40 '
same "$(digest halves)" "$(digest bucket)" 'buckets resumed'

# What is refused, and why.
predict words.tsv --logits
ends 2 '--logits .*a decoder writes symbols'
predict words.tsv --beam 0
ends 2 '--beam 0 '
predict words.tsv --length-penalty 1
ends 2 '--length-penalty .*no effect without --beam'
predict words.tsv --beam 2 --top-k 3
ends 2 'give one or the other'
predict words.tsv --temperature -1
ends 2 '--temperature -1 .*below 0'
printf 'one\nquiz\n' >unknown.txt
predict unknown.txt
ends 3 'unknown.txt:2:1: character U\+0071 .*input vocabulary'
printf 'one\nten\t10\n' >mixed.tsv
predict mixed.tsv
ends 3 'mixed.tsv:2:4: .*give all targets or none'
printf 'one\t1\nten\n' >torn.tsv
run train words.yaml run.dir=torn data.path=torn.tsv
ends 3 'torn.tsv:2:4: no TAB in this line'
printf 'one\t1\nten\t\n' >empty.tsv
run train words.yaml run.dir=torn data.path=empty.tsv
ends 3 'empty.tsv:2:5: the target is empty'
cat >plain.yaml <<'YAML'
run: {dir: plain}
data: {kind: pairs, path: plain.tsv, validation: 0}
model: [one_hot, {rnn: {hidden_size: 4}}]
train: {steps: 1}
YAML
run train plain.yaml data.path=words.tsv
ends 3 'words.tsv:1: the input has 3 characters and the target 1; .*encoder with a decoder'
run train plain.yaml data.kind=sequences data.path=words.h5
ends 3 'words.h5: data set target_lengths: .*encoder and a decoder'
printf 'ab\tba\n' >plain.tsv
run train plain.yaml
ends 0
run predict plain/checkpoints/last.h5 --data plain.tsv --beam 2
ends 2 '--beam .*no decoder'
run train words.yaml run.dir=text data.kind=synthetic data.path= data.task=majority
ends 2 'data.task: majority: has one target for a whole sequence'
exit 0
