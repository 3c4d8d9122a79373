#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ranks.sh: the same bits on 1 to 4 ranks, also where they share no memory, and with a second half on another
# number of ranks. A fast selection; matrix.sh goes through all of it.
. "$(dirname -- "$0")/../lib.sh"
. "$tests/bits/models.sh"
references

variant text 1 2 ranks
variant text 2 1 ranks
variant text 3 2 ranks
variant text 4 1 ranks
variant classes 2 3 ranks
variant classes 3 1 ranks
variant values 4 2 ranks
variant values 3 1 ranks
variant pairs 2 1 'ranks without a sequence'
variant decoded 2 3 ranks
variant decoded 3 1 ranks
variant decoded 4 2 'ranks without a sequence'
variant rows 2 2 ranks
variant rows 3 1 ranks
variant rows 4 1 'ranks without a sequence'

for share in none 2; do
    export LOCKSTEP_SHARE=$share
    variant text 3 1 "LOCKSTEP_SHARE=$share"
    variant classes 4 1 "LOCKSTEP_SHARE=$share"
    variant text 3 1 "LOCKSTEP_SHARE=$share, nothing hidden" comm.overlap=false checkpoint.every=7
    variant text 4 1 "LOCKSTEP_SHARE=$share, one shard at once" train.shards_at_once=1
    variant rows 3 1 "LOCKSTEP_SHARE=$share"
    variant rows 4 1 "LOCKSTEP_SHARE=$share, nothing hidden, one shard at once" comm.overlap=false train.shards_at_once=1
    halves text 2 1 4 1
    unset LOCKSTEP_SHARE
done

variant text 2 1 'one shard at once' train.shards_at_once=1
variant text 3 1 'saved in between' checkpoint.every=4 checkpoint.async=false
LOCKSTEP_ISA=portable
export LOCKSTEP_ISA
variant text 2 1 'portable kernels'
unset LOCKSTEP_ISA

halves text 2 1 3 1
halves text 0 2 2 1
halves classes 4 1 0 1
halves pairs 2 1 1 1
halves decoded 3 1 2 1
halves rows 2 1 4 1
