/* SPDX-License-Identifier: MIT
 *
 * reduce.h: the two-phase step. Gradients live in node memory, one block per segment of a rank (see
 * fold.h). Phase one: the owner of a chunk of the flat parameter block sums everybody's segments of it in
 * tree order and takes its norm. Phase two, after all ranks have agreed on what to do: the owner updates
 * its chunks of the parameters, which then appear on every node.
 *
 * The block is cut into buckets and every bucket among all ranks, in whole chunks of REDUCE_CHUNK floats,
 * so that per-chunk figures do not depend on the number of ranks. Buckets are summed and exchanged from
 * the last to the first, as backward makes them, and new parameters travel from the first to the last, as
 * forward reads them. With overlap this happens while the model computes, whenever reduce_poll is called,
 * and reduce_need waits for what is read next; without it reduce_sum and reduce_publish wait for all. The
 * bits are the same. */
#ifndef LOCKSTEP_COMM_REDUCE_H
#define LOCKSTEP_COMM_REDUCE_H

#include "comm/comm.h"
#include "comm/fold.h"
#include "comm/touched.h"

enum { REDUCE_CHUNK = 16384 };

typedef struct Reduce Reduce;

/* For `count` trainable floats (a multiple of 16) of the node-shared block `params`, and `shards`
 * shards over all ranks. ERR_USAGE if shards < ranks or memory is short. The caller's:
 * reduce_destroy, after reduce_settle unless the job fails. Collective. */
MUST_CHECK Status reduce_create(Comm *comm, float *params, size_t count, size_t shards, Reduce **out);
void reduce_destroy(Reduce **reduce);

/* On (the default): exchanges go on while the model computes. The same on all ranks, between steps. Local. */
void reduce_overlap(Reduce *reduce, bool on);

/* From now on only what is touched is summed and sent. `touched`, which must outlive the use, may change between
 * steps and until the first of its floats is announced; then it is the same on all ranks. Local. */
void reduce_touched(Reduce *reduce, const Touched *touched);

/* The next phase two leaves the parameters of what is not touched as they are: they are not sent, if there is room to
 * stage the others. `kept` stays as it is until the sum of the step after. The same on all ranks. Local. */
void reduce_kept(Reduce *reduce, const Touched *kept);

/* Makes that room, without which all parameters are sent; once. ERR_USAGE if memory is short. Collective. */
MUST_CHECK Status reduce_stage(Reduce *reduce);

/* My segments, and where my gradient of each lies ([count] floats; every touched element is written in each
 * step before reduce_sum). Local. */
size_t reduce_segments(const Reduce *reduce, const FoldNode **nodes);
float *reduce_gradient(Reduce *reduce, size_t segment);

/* My gradient of the floats [offset, offset + count) is final in this step; neighbours may read it and I
 * do not write it again. Local, does not wait. */
void reduce_ready(Reduce *reduce, size_t offset, size_t count);

/* Lets messages progress and sums what has become ready; to be called now and then while the model
 * computes, by the thread that called comm_start. Cheap when called often. Local, does not wait. */
void reduce_poll(Reduce *reduce);

typedef struct ReduceSum {
    double sum_of_squares; /* of the summed gradient, all of it, the same bits on all ranks */
    bool finite;           /* every element of the summed gradient is */
} ReduceSum;

/* Phase one. Carries along a small word of every rank: words[r * bytes ...] (comm_exchange's form).
 * Collective. */
void reduce_sum(Reduce *reduce, const void *word, size_t bytes, void *words, ReduceSum *sum);

/* A chunk that I own, in floats. */
typedef struct ReduceChunk {
    size_t offset; /* in the flat block */
    size_t count;  /* REDUCE_CHUNK, less at the end of the block */
    size_t at;     /* among all that I own: chunks follow each other without gaps */
} ReduceChunk;

/* My chunks by rising offset; reduce_owned is the floats of all of them. Local. */
const ReduceChunk *reduce_chunks(const Reduce *reduce, size_t *chunks);
size_t reduce_owned(const Reduce *reduce);

/* Chunk number i of those that rank `owner` owns; false if it has fewer. `at` is its place among theirs. Local. */
bool reduce_chunk_of(const Reduce *reduce, size_t owner, size_t i, ReduceChunk *out);

/* Floats of a bucket of `count` among so many ranks; the last bucket may be shorter. Local. */
size_t reduce_bucket_floats(size_t count, size_t ranks);

/* Where, among my chunks, the bucket of chunk `first` ends. Local. */
size_t reduce_bucket_end(const Reduce *reduce, size_t first);

/* The summed gradient: element i of the flat block is [i], where I own it and it is touched. Valid from reduce_sum
 * to the next step's first write. Local. */
const float *reduce_summed(const Reduce *reduce);

/* Phase two: the first `chunks` of my chunks are written, what is new among them may set out. The first
 * call of a step says that the parameters change: between it and reduce_need nobody may read them. Local,
 * does not wait. */
void reduce_written(Reduce *reduce, size_t chunks);

/* Phase two is over: all my chunks are written. With overlap between nodes it returns at once, and
 * reduce_need says what has come; else every rank sees all parameters on return. Collective. */
void reduce_publish(Reduce *reduce);

/* Waits until the new parameters [offset, offset + count) are in my node's memory. Local. */
void reduce_need(Reduce *reduce, size_t offset, size_t count);

/* Completes the exchange of parameters: nothing is under way from or to me on return. Local. */
void reduce_settle(Reduce *reduce);

/* Seconds since the last call in which this rank did nothing but wait for other nodes, and in which its messages
 * were under way while it computed, for each half of the exchange: gradients, parameters. Zero on one node. Local. */
typedef enum ReduceHalf { REDUCE_GRADIENTS, REDUCE_PARAMETERS, REDUCE_HALVES } ReduceHalf;
typedef struct ReduceTimes {
    double exposed[REDUCE_HALVES], hidden[REDUCE_HALVES];
} ReduceTimes;
ReduceTimes reduce_times(Reduce *reduce);

/* Rank `root` gets the whole [count] block that is made of what every owner keeps privately for its
 * chunks, `mine` [reduce_owned] (for the optimizer's moments at a save); `out` is used on root alone. Uses
 * the gradient memory: call between steps. Collective. */
void reduce_collect(Reduce *reduce, size_t root, const float *mine, float *out);

/* The other way: every owner's private floats from the whole [count] block on root. Collective. */
void reduce_distribute(Reduce *reduce, size_t root, const float *in, float *mine);

#endif
