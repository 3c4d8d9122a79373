#!/bin/sh
# SPDX-License-Identifier: MIT
#
# export.sh PROGRAM RANKS ...: exported weights start another run where the first one ended; the safetensors file
# has the form that it must have, and where there is a reader for it in $LOCKSTEP_PYTHON (python3) says the same
# as h5py.
. "$(dirname -- "$0")/../lib.sh"

text text.txt 60
cat >small.yaml <<'YAML'
run: {dir: small}
data: {kind: text, path: text.txt, seq_len: 16}
model: [{embedding: {name: emb, embedding_dim: 8}}, {lstm: {name: rnn, hidden_size: 8}}, {linear: {name: fc}}]
train: {steps: 5}
YAML
run train small.yaml
ends 0
run export small/checkpoints/last.h5 -o weights.safetensors
ends 0 'weights.safetensors'
run export small/checkpoints/last.h5 -o weights.h5
ends 0

# The weights alone, as they were.
evaluate() {
    run eval "$1" --json
    ends 0
    sed -n 's/.*"loss": \([^,]*\),.*/\1/p' out
}
trained=$(evaluate small/checkpoints/last.h5)
run train small.yaml run.dir=again run.init_from=weights.h5 optimizer.lr=0 train.steps=1
ends 0
same "$(evaluate again/checkpoints/last.h5)" "$trained" 'loss with exported weights'

# Eight bytes that say how long the header is, a header of that length, a multiple of 8.
length=$(od -A n -t u8 -N 8 weights.safetensors | tr -d ' ')
[ $((length % 8)) -eq 0 ] || fail "header of $length bytes"
header=$(dd if=weights.safetensors bs=1 skip=8 count="$length" 2>/dev/null)
case $header in
'{'*'"emb.weight":{'*'"format":"pt"'* | '{'*'"format":"pt"'*'"emb.weight":{'*) ;;
*) fail "header: $header" ;;
esac
end=$(printf '%s' "$header" | tr '[]{}' '\n' | grep -E '^[0-9]+,[0-9]+$' | cut -d, -f2 | sort -n | tail -n 1)
[ $((8 + length + end)) -eq "$(wc -c <weights.safetensors)" ] || fail "data end at $end"

python=${LOCKSTEP_PYTHON:-python3}
if "$python" -c 'import h5py, safetensors.numpy' 2>/dev/null; then
    launch 0 "$python" -c '
import h5py, numpy, safetensors.numpy
a = safetensors.numpy.load_file("weights.safetensors")
b = h5py.File("small/checkpoints/last.h5")["model"]
assert set(a) == set(b), (set(a), set(b))
assert all(numpy.array_equal(a[k], b[k][()]) and a[k].dtype == numpy.float32 for k in a)'
    ends 0
fi

run export small/checkpoints/last.h5 -o weights.bin
ends 2 'ends in .safetensors or .h5'
run export small/checkpoints/last.h5
ends 2 '-o FILE .*missing'
run export
ends 2 'one CHECKPOINT'
run export text.txt -o left.h5
ends 4 'text.txt'
run export small/checkpoints/last.h5 -o none/left.h5
ends 74 'none/left.h5'
[ -e left.h5 ] && fail 'a file of a failed job'
exit 0
