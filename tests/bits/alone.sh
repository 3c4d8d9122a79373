#!/bin/sh
# SPDX-License-Identifier: MIT
#
# alone.sh: one rank: the same bits with any number of threads, instruction set, shards at once, way of saving,
# and in two halves; other bits from another seed.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/bits/models.sh"
references

variant text 0 2 threads
variant text 0 5 threads
variant classes 0 3 threads
variant values 0 2 threads
variant pairs 0 3 threads
variant decoded 0 2 threads
variant decoded 0 3 threads
variant rows 0 3 threads

for model in text classes; do
    variant $model 0 1 'one shard at once' train.shards_at_once=1
    variant $model 0 2 'two shards at once' train.shards_at_once=2
    variant $model 0 1 'saved in between, not in the background' checkpoint.every=3 checkpoint.async=false
    variant $model 0 1 'saved in between' checkpoint.every=1 checkpoint.keep=2
done
variant pairs 0 1 'one shard at once' train.shards_at_once=1
variant decoded 0 1 'one shard at once' train.shards_at_once=1
variant rows 0 1 'one shard at once' train.shards_at_once=1

for model in $models; do
    variant $model 0 2 'all layers recompute' train.recompute=all
done
variant decoded 0 1 'a group recomputes, one shard at once' train.recompute=decoder train.shards_at_once=1

for isa in portable neon avx2 avx512; do
    # Where the machine lacks a set the program says so.
    LOCKSTEP_ISA=$isa launch 0 "$lockstep" train text.yaml --dry-run
    [ $code -eq 2 ] && grep -q 'no such kernels' err && continue
    for model in $models; do
        LOCKSTEP_ISA=$isa
        export LOCKSTEP_ISA
        variant $model 0 1 "kernels $isa"
        grep -q "($isa kernels)" err || fail "not the kernels $isa"
        unset LOCKSTEP_ISA
    done
done

for model in $models; do
    halves $model 0 1 0 2
done

for model in $models; do
    run train $model.yaml run.dir=runs/seed run.seed=2
    ends 0
    differ "$(digest runs/seed)" "$(digest runs/$model)" 'another seed'
    rm -rf runs/seed
done
run train text.yaml run.dir=runs/shards train.shards=3
ends 0
differ "$(digest runs/shards)" "$(digest runs/text)" 'other shards'
