/* SPDX-License-Identifier: MIT
 *
 * reduce_private.h: private to comm/. A Reduce, and what reduce_wire.c does for it between nodes. */
#ifndef LOCKSTEP_COMM_REDUCE_PRIVATE_H
#define LOCKSTEP_COMM_REDUCE_PRIVATE_H

#include <stdatomic.h>

#include "comm/private.h"
#include "comm/reduce.h"
#include "comm/tree.h"

/* The last step in which all of a rank's gradient is final. */
typedef struct ReduceFinal {
    _Alignas(LINE) _Atomic uint64_t step;
} ReduceFinal;

typedef struct Wire Wire;

struct Reduce {
    Comm *comm;
    float *params;
    size_t count, shards, chunks;
    size_t first_chunk, end_chunk; /* my slice */
    uint64_t step;                 /* the one whose gradient is being written */

    FoldNode segments[FOLD_MAX_SEGMENTS]; /* mine */
    size_t *first_block;                  /* [node_size + 1] a rank's blocks among the node's */

    /* Node memory. */
    ReduceFinal *finals;     /* [node_size] */
    _Atomic uint64_t *flags; /* [node_size][chunks] */
    double *squares;         /* [chunks] */

    float *result;         /* my first block: my slice of the sum comes to stand there */
    TreeInput *own_inputs; /* the node's blocks, then what other nodes send of my slice */
    size_t received;       /* inputs of the second kind */
    Tree own_tree;
    size_t *batch; /* [my chunks] */
    bool *summed;  /* [my chunks] */

    double *all_squares; /* [chunks], where there are several nodes */
    char *words;
    size_t word_room;
    Wire *wire; /* NULL on one node */
};

size_t reduce_chunk_floats(const Reduce *reduce, size_t first, size_t end);
/* All ranks of my node have written the chunks [first, end) of this step. */
bool reduce_node_ready(const Reduce *reduce, size_t first, size_t end);

/* How many inputs of my slice's tree come from other nodes. Local. */
size_t wire_count_received(const Reduce *reduce);
/* After own_inputs names my node's blocks; adds the others. Local. */
Status wire_create(Reduce *reduce);
void wire_destroy(Reduce *reduce);

/* Posts this step's receives; false if there is nothing to send or receive. */
bool wire_begin(Reduce *reduce);
/* Folds and sends what is ready, takes what has arrived; true if anything moved. */
bool wire_move(Reduce *reduce);
bool wire_is_done(const Reduce *reduce);
/* All that other nodes send of one of my chunks is here. */
bool wire_has_received(const Reduce *reduce, size_t chunk);
/* A rank whose message is outstanding. */
size_t wire_missing(const Reduce *reduce);
/* My slice of the parameters to every other node, theirs into my node's block. Waits. */
void wire_publish(Reduce *reduce);

#endif
