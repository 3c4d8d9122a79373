#!/bin/sh
# SPDX-License-Identifier: MIT
#
# share.sh: the same bits whichever ranks share memory: comm.share, and where node memory is capped.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/bits/models.sh"
references

variant text 3 1 'no memory shared' comm.share=none
says 'comm\.share: none: 3 nodes on 1 host'
variant classes 2 1 'no memory shared, nothing hidden' comm.share=none comm.overlap=false
says 'comm\.share: none: 2 nodes on 1 host'
variant text 2 1 'NUMA domains' comm.share=numa

# Several buckets, on two nodes of two and one rank too.
OMP_NUM_THREADS=1 launch 0 "$lockstep" train wide.yaml
ends 0 'finished at step 20'
variant wide 2 1 'buckets, no memory shared' comm.share=none
variant wide 2 1 'buckets, nothing hidden' comm.share=none comm.overlap=false
LOCKSTEP_SHARE=2
export LOCKSTEP_SHARE
variant wide 3 1 'buckets, uneven nodes'
unset LOCKSTEP_SHARE
halves wide 3 1 2 1

# Tables of which a step touches a few rows: of the others no gradient travels, nor parameters that stay. The same
# bits where one long sequence, which is only evaluated, makes the tables small against a batch: then all of it does.
sent() { grep -o "\"$1 to\"[^}]*\"bytes\": *[0-9]*" trace.json | awk '{ sum += $NF } END { print sum }' FS=:; }
OMP_NUM_THREADS=1 launch 0 "$lockstep" train large.yaml
ends 0 'finished at step 20'
variant large 3 1 'large tables'
variant large 4 1 'large tables, shard by shard' train.shards_at_once=1
variant large 2 2 'large tables, nothing hidden' comm.share=none comm.overlap=false
variant large 3 1 'large tables, no memory shared' comm.share=none
LOCKSTEP_SHARE=2
export LOCKSTEP_SHARE
variant large 4 1 'large tables, two nodes of two'
unset LOCKSTEP_SHARE
variant large 2 1 'large tables, traced' comm.share=none --trace trace.json
rows=$(sent gradients) kept=$(sent parameters)
awk 'BEGIN { for (i = 0; i < 15000; i++) line = line "o"; print line "\t" line }' >long.tsv
rm -rf runs/variant
launch 2 "$lockstep" train large.yaml run.dir=runs/variant comm.share=none data.validation=long.tsv --trace trace.json
ends 0 'finished at step 20'
same "$(digest runs/variant)" "$(digest runs/large)" 'large tables against a long sequence'
all=$(sent gradients)
[ "$((2 * rows))" -lt "$all" ] || fail "gradients: $rows bytes of rows, $all of all"
[ "$((2 * kept))" -lt "$((3 * all))" ] || fail "parameters: $kept bytes, gradients of all but the sparse table $all"

# Two ranks on a machine that hwloc takes for one of two domains.
if [ "$(nproc)" -ge 2 ]; then
    export HWLOC_SYNTHETIC='numa:2 pu:1' HWLOC_THISSYSTEM=1
    rm -rf runs/variant
    launch 2 --bind-to core "$lockstep" train text.yaml run.dir=runs/variant comm.share=numa
    unset HWLOC_SYNTHETIC HWLOC_THISSYSTEM
    if [ $code -eq 0 ]; then
        says 'comm\.share: numa: 2 nodes on 1 host'
        compare 'two NUMA domains'
    fi
fi

# A memfd is a file to the system: where files are limited each rank keeps its own copy.
# shellcheck disable=SC2016 # for the inner shell
launch 2 sh -c 'ulimit -f 2048; exec "$@"' sh "$lockstep" train text.yaml --dry-run model.1.hidden_size=300
ends 0 'node memory of [0-9.]+ MiB cannot be had \(.*[Ff]ile.*\): each rank keeps its own copy of the parameters'
[ "$(cat out err | grep -c 'its own copy')" -eq 1 ] || fail 'one line says so'
launch 2 "$lockstep" train text.yaml --dry-run model.1.hidden_size=300
ends 0
cat out err | grep -q 'its own copy' && fail 'memory is not capped'
exit 0
