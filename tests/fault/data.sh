#!/bin/sh
# SPDX-License-Identifier: MIT
#
# data.sh: exit 3: data that are missing, unreadable, empty, too short, or hold bad values. After PROGRAM RANKS
# MPIEXEC FLAG comes make_data.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
make_data=$5
write_model

# refused PATTERN ARGUMENT...: training ends with 3 before it writes anything
refused() {
    pattern=$1
    shift
    run train small.yaml "$@"
    ends 3 "^lockstep: error: .*$pattern"
    [ ! -e runs ] || fail 'data that cannot be used left a run directory'
}

# ---- text ----------------------------------------------------------------------------------------------
refused 'missing.txt\): No such file.*; check the path' data.path=missing.txt
refused '\*.book\): no file matches this pattern; check it' 'data.path="*.book"'
mkdir folder
refused 'folder\): it is a directory' data.path=folder
: >empty.txt
refused 'empty.txt.*empty' data.path=empty.txt
printf 'caf\351 au lait, many times over\n' >latin.txt
refused 'latin.txt:1:4.*UTF-8.*; ' data.path=latin.txt
# Both lengths are named.
printf 'twelve chars' >short.txt
refused 'short.txt: .* has 12 tokens, and one sequence needs 13 \(data.seq_len 12 and its last target\); ' \
    data.path=short.txt data.validation=0
refused 'validation.* has [0-9]+ tokens, and one sequence needs 401 .*; ' data.seq_len=400 data.validation=0.1
refused 'missing.txt\): No such file' data.validation=missing.txt
mkfifo pipe
refused 'pipe\): it is ' data.path=pipe
if [ "$(id -u)" -ne 0 ]; then
    cp text.txt closed.txt
    chmod 0 closed.txt
    refused 'closed.txt\): Permission denied' data.path=closed.txt
fi

# ---- pairs -------------------------------------------------------------------------------------------------
printf 'hello\tohlol\nhello ohlol\n' >pairs.tsv
refused 'pairs.tsv:2:.*; a line is: input TAB target' data.kind=pairs data.path=pairs.tsv data.validation=0
printf 'hello\tohlo\n' >pairs.tsv
refused 'pairs.tsv:1' data.kind=pairs data.path=pairs.tsv data.validation=0

# ---- HDF5 ----------------------------------------------------------------------------------------------------
cat >small.yaml <<YAML
data: {kind: sequences, path: data.h5, validation: 0}
model: [gru: {hidden_size: 4}, select: last, linear: {}]
train: {steps: 3}
YAML
refused 'data.h5.*No such file' data.path=data.h5
: >data.h5
refused 'data.h5.*empty' data.path=data.h5
refused 'text.txt.*; |text.txt.*HDF5' data.path=text.txt
head -c 2000 "$golden/gru_reals.h5" >cut.h5
refused 'cut.h5' data.path=cut.h5
for kind in nothing nan targets classes weights; do
    "$make_data" $kind $kind.h5 || fail "make_data $kind"
done
refused 'nothing.h5: has no data set inputs; kind sequences needs inputs \[N, T\] or \[N, T, F\]' data.path=nothing.h5
refused 'weights.h5: has no data set inputs' data.path=weights.h5
refused 'nan.h5: inputs\[1, 2, 1\] is nan .*: all values must be finite' data.path=nan.h5
refused 'targets.h5: data set targets: has 2 sequences and inputs 3' data.path=targets.h5
refused 'classes.h5: targets\[1\] is -1: must be 0 or more' data.path=classes.h5

# ---- other commands ----------------------------------------------------------------------------------------------
run bench small.yaml data.path=nan.h5
ends 3 'nan.h5: inputs'
run train small.yaml --dry-run data.path=nan.h5
ends 3 'nan.h5: inputs'
run info missing.txt
ends 3 'missing.txt: No such file'
write_model
run train small.yaml
ends 0
run eval runs/small/checkpoints/best.h5 data.path=missing.txt
ends 3 'missing.txt\): No such file'
printf 'Zebras are not in the vocabulary.\n' >zebra.txt
run eval runs/small/checkpoints/best.h5 data.path=zebra.txt
ends 3 'zebra.txt:1:1: character .*Z.* is not in the vocabulary of [0-9]+ characters'
run generate runs/small/checkpoints/best.h5 --prompt Zebra --length 3
ends 3 '--prompt:1:1: character .*Z.* is not in the vocabulary'
rm text.txt
before=$(snapshot runs/small)
run train small.yaml train.steps=20
ends 3 'text.txt\): No such file'
same "$(snapshot runs/small)" "$before" 'the run directory after its data have gone'
