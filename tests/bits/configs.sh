#!/bin/sh
# SPDX-License-Identifier: MIT
#
# configs.sh PROGRAM RANKS MPIEXEC FLAG WHAT [CONFIG]: every config in configs/ and beside this file, or that one, gives
# the same bits: its own model and settings with less data. WHAT is
#     threads    each on another number of threads of one process, 2, 3 or 5; and where all layers recompute
#     diagonal   each on another number of ranks, 2, 3 or 4; and on 2 where all layers recompute
#     matrix     1, 2, 3, 4 ranks times 1, 2, 3, 5 threads; then 50 steps in 8 shards on 1, 2, 3, 4 and 8 ranks,
#                and on 4, then 1, then 8 of them
limit=300
. "$(dirname -- "$0")/../lib.sh"
what=$5
shift 5
if [ $# -eq 0 ]; then
    for file in "$tests"/../configs/*.yaml "$tests"/bits/*.yaml; do set -- "$@" "$file"; done
else
    file=$tests/../configs/$1.yaml
    [ -e "$file" ] || file=$tests/bits/$1.yaml
    set -- "$file"
fi
text text.txt 30

# value KEY: of a key of section data in the printed config
value() { sed -n "/^data:/,/^[a-z]*:\$/s/^  $1: //p" printed; }

# train CONFIG RANKS THREADS RUN STEPS SHARDS: small data of the config's kind; seven sequences a step, so that
# shards are uneven and the last batch is short
train() {
    "$lockstep" train "$1" --print-config >printed || fail "$1: --print-config"
    threads=$3 run=$here/$4 steps=$5 shards=$6 file=$1 count=$2
    set -- data.validation=0.2 train.recompute="$recompute"
    case $(value kind) in
    text) set -- "$@" data.path="$here/text.txt" data.seq_len=12 ;;
    synthetic) set -- data.sequences=60 data.validation=0.2 ;;
    pairs) set -- ;;
    csv) set -- ;;
    sequences) [ -e "$tests/../$(value path)" ] || set -- "$@" data.path="$golden/select_final.h5" ;;
    *) fail "$file: no data of kind $(value kind) here" ;;
    esac
    # A schedule ends at train.steps if nothing else is said, which grows here.
    sed -n '/^schedule:/,/^train:/p' printed | grep -q '^  kind: constant' || set -- "$@" schedule.steps=50
    OMP_NUM_THREADS=$threads in_tree "$count" train "$file" run.dir="$run" train.steps="$steps" train.epochs=null \
        train.batch_size=7 train.shards="$shards" schedule.warmup=1 eval.every=null eval.early_stop=null checkpoint.every=null log.every=1 \
        log.predictions=1 "$@"
    ends 0 "finished at step $steps "
}

# again RANKS THREADS [RECOMPUTE]: the reference another way
again() {
    rm -rf variant
    recompute=${3-none}
    train "$config" "$1" "$2" variant 4 4
    recompute=none
    same "$(digest variant)" "$expected" "$config on $1 ranks, $2 threads, ${3-no} layers recompute"
    same "$(curve variant)" "$(curve reference)" "$config on $1 ranks, $2 threads, ${3-no} layers recompute: metrics.csv"
}

# 50 steps in 8 shards, whole and in pieces.
long_runs() {
    rm -rf reference
    train "$config" 0 1 reference 50 8
    expected=$(digest reference)
    for n in 2 3 4 8; do
        rm -rf variant
        train "$config" "$n" 1 variant 50 8
        same "$(digest variant)" "$expected" "$config: 50 steps in 8 shards on $n ranks"
    done
    rm -rf variant
    train "$config" 4 1 variant 17 8
    differ "$(digest variant)" "$expected" "$config: a third of the way"
    train "$config" 1 1 variant 34 8
    says 'resuming from step 17 '
    train "$config" 8 1 variant 50 8
    says 'resuming from step 34 '
    same "$(digest variant)" "$expected" "$config: on 4, 1 and 8 ranks in turn"
}

turn=0 recompute=none
for config in "$@"; do
    rm -rf reference
    train "$config" 0 1 reference 4 4
    expected=$(digest reference)
    case $what in
    threads)
        case $((turn % 3)) in
        0) again 0 2 ;;
        1) again 0 3 ;;
        2) again 0 5 ;;
        esac
        again 0 $((turn % 3 + 1)) all
        ;;
    diagonal)
        case $((turn % 3)) in
        0) again 2 2 ;;
        1) again 3 1 ;;
        2) again 4 1 ;;
        esac
        again 2 1 all
        ;;
    matrix)
        for n in 1 2 3 4; do
            for threads in 1 2 3 5; do again $n $threads; done
            again $n 2 all
        done
        long_runs
        ;;
    esac
    turn=$((turn + 1))
done
[ $turn -gt 0 ] || fail 'no configs'
printf '%s configs\n' $turn
