#!/bin/sh
# SPDX-License-Identifier: MIT
#
# series.sh PROGRAM RANKS ...: CSV series from training to predictions: numbers and classes are learned, what
# is predicted is in the units of the file and beside its times, without targets too, in files of both kinds,
# and the same on any number of ranks.
. "$(dirname -- "$0")/../lib.sh"

# A wave and whether it falls; the last column is not for the model.
awk 'BEGIN {
    print "day,wave,level,falls,note"
    for (i = 0; i < 600; i++) printf "d%03d,%.3f,%.2f,%s,\"a, \"\"b\"\"\"\n", i, 50 + 7 * sin(i / 6), 1000 + 3 * cos(i / 6), cos(i / 6) < 0 ? "yes" : "no"
}' >wave.csv
cat >numbers.yaml <<'YAML'
run: {dir: numbers}
data: {kind: csv, path: wave.csv, features: [wave, level], targets: [wave, level], lookback: 8, horizon: 2, time: day}
model: [{gru: {hidden_size: 12}}, {select: last}, linear]
loss: {kind: mse}
optimizer: {lr: 1.0e-2}
train: {epochs: 8, shards: 2}
YAML
cat >classes.yaml <<'YAML'
run: {dir: classes}
data: {kind: csv, path: wave.csv, features: [wave, level], targets: falls, lookback: 8, scaling: minmax}
model: [{gru: {hidden_size: 12}}, {select: last}, linear]
optimizer: {lr: 1.0e-2}
train: {epochs: 12, shards: 2}
YAML

run train numbers.yaml
ends 0 'finished at step'
run predict numbers/checkpoints/best.h5 --data wave.csv
ends 0
mv out numbers.csv
[ "$(sed -n 1p numbers.csv)" = 'index,day,wave+1,level+1,wave+2,level+2' ] || fail "first line: $(sed -n 1p numbers.csv)"
[ "$(wc -l <numbers.csv)" = 594 ] || fail 'one row per window of 8 of the 600 rows'
# Row i has seen day i + 7 and says what days i + 8 and i + 9 bring.
awk -F, 'NR == FNR { wave[FNR - 2] = $2; level[FNR - 2] = $3; next }
    FNR > 1 && $2 != sprintf("d%03d", $1 + 7) { print "time", $0; exit }
    FNR > 1 && $1 < 590 {
        error = ($3 - wave[$1 + 8]) ^ 2 + ($4 - level[$1 + 8]) ^ 2 + ($5 - wave[$1 + 9]) ^ 2 + ($6 - level[$1 + 9]) ^ 2
        if (error > 4) { print "error", error, $0; exit }
    }' wave.csv numbers.csv >wrong
[ -s wrong ] && fail "$(cat wrong)"

# Without targets, and with other columns around.
cut -d, -f1-3 wave.csv | awk -F, '{ print $3 "," $1 "," $2 }' >inputs.csv
run predict numbers/checkpoints/best.h5 --data inputs.csv
ends 0
cmp -s out numbers.csv || fail 'other columns change what is predicted'
launch 0 "$lockstep" predict numbers/checkpoints/best.h5 --data inputs.csv --out alone.csv
ends 0
cmp -s alone.csv numbers.csv || fail 'ranks change what is predicted'

run train classes.yaml
ends 0 'finished at step'
run eval classes/checkpoints/best.h5 --json
ends 0
awk -F'[:,]' '/accuracy/ && $2 < 0.9 { exit 1 }' out || fail 'not learned'
run predict classes/checkpoints/best.h5 --data wave.csv --logits
ends 0 '^index,predicted,logit:no,logit:yes$'
awk -F, 'NR == FNR { falls[FNR - 2] = $4; next }
    FNR > 1 && $2 != ($4 > $3 ? "yes" : "no") { print "not the larger", $0; exit }
    FNR > 1 && $1 < 592 { right += $2 == falls[$1 + 8] }
    END { if (right < 560) print right, "of 592 right" }' wave.csv out >wrong
[ -s wrong ] && fail "$(cat wrong)"
run predict classes/checkpoints/best.h5 --data wave.csv --out classes.h5 --logits
ends 0
if command -v h5dump >/dev/null; then
    h5dump -d predicted -y -w 1 -o predicted.txt classes.h5 >/dev/null || fail 'HDF5 does not open'
    ids=$(sed 's/[ ,]//g; /^$/d' predicted.txt)
    "$lockstep" predict classes/checkpoints/best.h5 --data wave.csv >plain.csv
    [ "$ids" = "$(sed '1d; s/.*,//; s/no/0/; s/yes/1/' plain.csv)" ] || fail 'HDF5 and CSV differ'
fi

# What is wrong is said; nothing is left.
sed '300s/,no,\|,yes,/,maybe,/' wave.csv >other.csv
run eval classes/checkpoints/best.h5 data.path=other.csv
ends 3 'other.csv:300:[0-9]*: falls: .maybe. is none of the 2 classes'
sed '300s/^\([^,]*\),[^,]*,/\1,n.a.,/' wave.csv >other.csv
run predict classes/checkpoints/best.h5 --data other.csv --out left.csv
ends 3 'other.csv:300:6: wave: .n\.a\.. is not a number'
[ -e left.csv ] && fail 'a file of a failed job'
run predict classes/checkpoints/best.h5 --data wave.csv --out left.txt
ends 2 'ends neither in .csv nor in .h5'
run predict numbers/checkpoints/best.h5 --data wave.csv --logits
ends 2 'values, not classes'
run predict numbers/checkpoints/best.h5
ends 2 '--data FILE missing'
run train numbers.yaml data.time=hour run.dir=none
ends 3 'no column hour; there are: day, wave, level, falls, note'
set -- .*.tmp.*
[ -e "$1" ] && fail "$1 is left"
exit 0
