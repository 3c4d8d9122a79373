/* SPDX-License-Identifier: MIT
 *
 * reduce_private.h: private to comm/. A Reduce, and what its files do for each other: reduce_share.c says
 * who owns what and moves what owners keep, reduce_wire.c carries gradients between nodes, reduce_publish.c
 * the new parameters, reduce_plan.c plans both. */
#ifndef LOCKSTEP_COMM_REDUCE_PRIVATE_H
#define LOCKSTEP_COMM_REDUCE_PRIVATE_H

#include <stdatomic.h>

#include "comm/private.h"
#include "comm/reduce.h"
#include "comm/tree.h"

/* The last step of which an owner has summed all its chunks, and of which it has written their parameters. */
typedef enum OwnerDone { OWNER_SUMMED, OWNER_WRITTEN, OWNER_DONE } OwnerDone;
typedef struct ReduceOwner {
    _Alignas(LINE) _Atomic uint64_t done[OWNER_DONE];
} ReduceOwner;

typedef struct Wire Wire;

struct Reduce {
    Comm *comm;
    float *params;
    size_t count, shards, chunks;
    size_t bucket_chunks, buckets; /* the last bucket may be shorter */
    uint64_t step;                 /* the one whose gradient is being written */
    uint64_t final;                /* the node's operation that says that all of a rank's is; 0 before mine */
    bool overlap;
    const Touched *touched; /* what is in no table of it is written whole */
    const Touched *kept;    /* what is in no table of it changes in an update */

    ReduceChunk *chunk; /* [mine] that I own */
    size_t mine, owned; /* chunks, floats */
    size_t *place;      /* [buckets] how many of my chunks come before the bucket */
    bool *owns;         /* [node_size] whether a rank of my node owns any */

    FoldNode segments[FOLD_MAX_SEGMENTS]; /* mine */
    size_t *first_block;                  /* [node_size + 1] a rank's blocks among the node's */

    /* Node memory. */
    ReduceOwner *owners;     /* [node_size] */
    _Atomic uint64_t *flags; /* [node_size][chunks] */
    double *squares;         /* [chunks] */
    _Atomic uint64_t *here;  /* [buckets][size] the last publication that has come from an owner; several nodes */

    float *result;         /* my first block: my part of the sum comes to stand there */
    TreeInput *own_inputs; /* the node's blocks, then what other nodes send of my chunks */
    size_t received;       /* inputs of the second kind */
    Tree own_tree;
    size_t unsummed; /* of my chunks; they are summed from the last to the first */
    uint64_t begun;  /* the step whose sum has begun */

    double *all_squares; /* [chunks], where there are several nodes */
    char *words;
    size_t word_room;
    Wire *wire; /* NULL on one node */

    uint64_t polled; /* when */
    ReduceTimes times;
};

/* ---- reduce_share.c ---- */
/* Cuts the block into buckets and lists my chunks. False if memory is short. */
bool share_plan(Reduce *reduce);
void share_release(Reduce *reduce);
/* The chunks of a bucket that a rank owns. */
void share_of(const Reduce *reduce, size_t bucket, size_t rank, size_t *first, size_t *end);
/* The most chunks that any rank owns. */
size_t share_most(const Reduce *reduce);
size_t reduce_chunk_floats(const Reduce *reduce, size_t first, size_t end);

/* ---- reduce.c ---- */
/* All ranks of my node have written the chunks [first, end) of this step. */
bool reduce_node_ready(const Reduce *reduce, size_t first, size_t end);
/* On one node: says that I have done so much of this step, and waits until all who own chunks have. */
void reduce_meet_owners(Reduce *reduce, OwnerDone what);

/* ---- reduce_plan.c ---- */
/* How many inputs of my tree come from other nodes. Local. */
size_t wire_count_received(const Reduce *reduce);
/* After own_inputs names my node's blocks; adds the others. Local. */
Status wire_create(Reduce *reduce);
void wire_destroy(Reduce *reduce);

/* ---- reduce_wire.c ---- */
/* Posts this step's receives. */
void wire_begin(Reduce *reduce);
/* Folds and sends what is ready, takes what has arrived; true if anything moved. */
bool wire_move(Reduce *reduce);
bool wire_is_done(const Reduce *reduce);
/* All that other nodes send of my chunk number i is here. */
bool wire_has_received(const Reduce *reduce, size_t i);
/* A rank whose message is outstanding. */
size_t wire_missing(const Reduce *reduce);
/* reduce_sum has waited since `entered`: books what was hidden before and exposed after it. */
void wire_book(Reduce *reduce, uint64_t entered);

/* ---- reduce_publish.c ---- */
/* Takes and completes what it can of the parameters under way; true if anything moved. */
bool publish_move(Reduce *reduce);

#endif
