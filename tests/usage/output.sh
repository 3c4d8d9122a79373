#!/bin/sh
# SPDX-License-Identifier: MIT
#
# output.sh: results on stdout and everything else on stderr, once per job; text from a seed; what needs no ranks
# starts none.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/small.sh"
write_model
quiet() { [ ! -s err ] || fail 'more than the result'; }

run train small.yaml
ends 0 '^step 2/12 ' '^finished at step 12 '
[ ! -s out ] || fail 'training wrote to stdout'
same "$(grep -c '^step 2/12 ' err)" 1 'lines of step 2'
saved=runs/small/checkpoints/last.h5

# ---- results ----------------------------------------------------------------------------------------------
run eval $saved
ends 0
same "$(cut -d' ' -f1 out | tr '\n' ' ')" 'step loss perplexity accuracy ' 'lines of eval'
# The split, and the figures that training has written.
says '^step 12, validation split: 16 sequences, 192 targets$'
same "$(sed -n 's/^loss *//p' out)" "$(sed -n '$p' runs/small/metrics.csv | cut -d, -f4)" 'the loss of eval and of training'
run eval $saved --split train
ends 0 'train split: 145 sequences'
run eval $saved --split all
ends 0 'all split: 161 sequences'
run eval $saved data.path=text.txt
ends 0 'all split: 161 sequences'
run eval $saved --json
ends 0
quiet
run info $saved
ends 0 'Lockstep checkpoint, verified' '^    rnn.weight_ih_l0 +28 x 5$'
quiet
run info $golden/select_final.h5
ends 0 'data set of 6 sequences of up to 5 steps' 'classes per sequence, 4'
run info text.txt
ends 0 'text, '
run info small.yaml
ends 0 'hidden_size: 7'
run bench small.yaml --steps 3
ends 0 'tokens/s; median step .* of 3; ' '^  rnn '
same "$(printf '%s ' runs/*)" 'runs/small ' 'runs after bench'

# ---- text -------------------------------------------------------------------------------------------------------
generate() { run generate $saved --prompt 'the süß' --length 50 "$@"; }
generate --seed 3
ends 0
quiet
same "$(head -c 9 out)" 'the süß' 'the prompt'
# Characters, not bytes, and the line feed at the end.
same "$(tr -d '\200-\277' <out | wc -c)" 58 'the length of the text'
cp out first
generate --seed 3
cmp out first || fail 'another text from the same seed'
launch 0 "$lockstep" generate $saved --prompt 'the süß' --length 50 --seed 3
cmp out first || fail 'another text on other ranks'
generate --seed 4
! cmp -s out first || fail 'the same text from another seed'
generate --seed 3 --temperature 2
! cmp -s out first || fail 'the same text at another temperature'
generate --temperature 0
cp out first
generate --top-k 1 --seed 5
cmp out first || fail '--top-k 1 is not the likeliest text'
generate --top-p 0.000001 --seed 6
cmp out first || fail '--top-p near 0 is not the likeliest text'

# ---- without ranks ------------------------------------------------------------------------------------------------
# These lines look like a launcher's, but nobody is there to answer: starting MPI would fail or hang.
alone() {
    launch 0 env OMPI_COMM_WORLD_SIZE=2 OMPI_COMM_WORLD_RANK="$rank" PMIX_RANK="$rank" PMIX_NAMESPACE=nobody \
        PMIX_SERVER_URI2='nobody;tcp4://127.0.0.1:1' "$lockstep" "$@"
}
for rank in 0 1; do
    for words in --version '--version --verbose' --help help 'help optimizer.lr' 'help lstm' 'train --help' 'eval --help' \
        "info $saved" "info $saved --json" 'train small.yaml --print-config'; do
        # shellcheck disable=SC2086 # words of a command
        alone $words
        ends 0
        quiet
        if [ $rank = 0 ]; then [ -s out ] || fail 'says nothing'; else [ ! -s out ] || fail 'rank 1 speaks'; fi
    done
done
run --version
ends 0 '^lockstep [0-9]+\.[0-9]+\.[0-9]+$'
same "$(wc -l <out)" 1 'lines of --version'
run help optimizer.lr
ends 0 'learning rate'
run --help
ends 0
for word in train eval generate info bench help; do says "^  $word "; done
launch 0 "$lockstep"
ends_silently=$code
same $ends_silently 2 'the exit code without a command'
