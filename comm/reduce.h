/* SPDX-License-Identifier: MIT
 *
 * reduce.h: the two-phase step. Gradients live in node memory, one block per segment of a rank (see
 * fold.h). Phase one: the owner of a slice of the flat parameter block sums everybody's segments of it
 * in tree order and takes its norm. Phase two, after all ranks have agreed on what to do: the owner
 * updates its slice of the parameters, which then appear on every node. Slices consist of whole chunks
 * of REDUCE_CHUNK floats, so that per-chunk figures do not depend on the number of ranks. */
#ifndef LOCKSTEP_COMM_REDUCE_H
#define LOCKSTEP_COMM_REDUCE_H

#include "comm/comm.h"
#include "comm/fold.h"

enum { REDUCE_CHUNK = 16384 };

typedef struct Reduce Reduce;

/* For `count` trainable floats (a multiple of 16) of the node-shared block `params`, and `shards`
 * shards over all ranks. ERR_USAGE if shards < ranks or memory is short. The caller's:
 * reduce_destroy. Collective. */
MUST_CHECK Status reduce_create(Comm *comm, float *params, size_t count, size_t shards, Reduce **out);
void reduce_destroy(Reduce **reduce);

/* My segments, and where my gradient of each lies ([count] floats; every element is written in each
 * step before reduce_sum). Local. */
size_t reduce_segments(const Reduce *reduce, const FoldNode **nodes);
float *reduce_gradient(Reduce *reduce, size_t segment);

/* My gradient of the floats [offset, offset + count) is final in this step; neighbours may read it.
 * Local, does not wait. */
void reduce_ready(Reduce *reduce, size_t offset, size_t count);

typedef struct ReduceSum {
    double sum_of_squares; /* of the summed gradient, all of it, the same bits on all ranks */
    bool finite;           /* every element of the summed gradient is */
} ReduceSum;

/* Phase one. Carries along a small word of every rank: words[r * bytes ...] (comm_exchange's form).
 * Collective. */
void reduce_sum(Reduce *reduce, const void *word, size_t bytes, void *words, ReduceSum *sum);

/* The slice of the flat block that I own, in floats, and the summed gradient there: element i of the
 * flat block is gradient[i - *first]. Valid from reduce_sum to the next step's first write. Local. */
const float *reduce_owned(const Reduce *reduce, size_t *first, size_t *count);

/* Phase two is over: my slice of `params` is written. On return every rank sees all slices.
 * Collective. */
void reduce_publish(Reduce *reduce);

/* Rank `root` gets the whole [count] block that is made of every owner's private slice (for the
 * optimizer's moments at a save); `out` is used on root alone. Uses the gradient memory: call between
 * steps. Collective. */
void reduce_collect(Reduce *reduce, size_t root, const float *slice, float *out);

/* The other way: every owner's private slice from the whole [count] block on root. Collective. */
void reduce_distribute(Reduce *reduce, size_t root, const float *in, float *slice);

#endif
