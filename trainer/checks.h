/* SPDX-License-Identifier: MIT
 *
 * checks.h: memory that lies is found. Of every piece (what a chunk of the flat block holds of one tensor) a
 * rank keeps a 64-bit sum of the bit patterns of its parameters and of each of the optimizer's slots, as it
 * wrote them. It compares the sums when it reads the piece at the next update, and all of them, with every
 * node's copy of the parameters, before a save. Sums of integers are exact: one bit that flips always changes one. What is found is named once and ends the job with ERR_REPLICAS. */
#ifndef LOCKSTEP_TRAINER_CHECKS_H
#define LOCKSTEP_TRAINER_CHECKS_H

#include "comm/reduce.h"
#include "trainer/optimizer.h"

typedef struct CheckTensor {
    const char *name;
    size_t offset, span; /* in the flat block; tensors by rising offset, without gaps */
} CheckTensor;

typedef struct CheckPiece {
    size_t offset, count; /* in the flat block */
    size_t at;            /* among what its owner owns */
    size_t tensor;
} CheckPiece;

enum { CHECK_KINDS = 1 + OPTIMIZER_MAX_SLOTS }; /* parameters, then slots */

typedef struct Checks {
    Comm *comm;
    Reduce *reduce;
    struct Optimizer *optimizer;
    float *params;
    const CheckTensor *tensor;
    size_t tensors;
    CheckPiece *piece; /* [pieces] of what I own */
    size_t pieces;
    size_t *first;              /* [my chunks + 1] the first piece of a chunk */
    uint64_t *sum[CHECK_KINDS]; /* [pieces] as written */
    unsigned char *wrong;       /* [pieces] a bit for each kind that was not as written */
    bool kept;                  /* there are sums to compare with */
    size_t frozen;              /* the first tensor that is never updated */
    uint64_t *frozen_sum;       /* [tensors - frozen] on the first rank of a node */
    uint64_t every, step;       /* nodes are compared so often; the last step seen */
    size_t wrong_piece, wrong_kind;
    bool found;
} Checks;

/* A piece's sum is made of strips: the 32-bit sum of a strip's words, and of those, multiplied by different odd
 * numbers, a 64-bit sum. So a single bit always shows, and so does a strip in another's place. */
enum { CHECK_STRIP = 4096 };
static inline uint64_t checks_add(uint64_t sum, uint32_t strip) {
    return sum * 0x9e3779b97f4a7c15u + strip;
}

/* The sum of a strip of at most CHECK_STRIP floats. Local. */
uint32_t checks_strip(const float *x, size_t count);

/* The sum of a piece of `count` floats. Local. */
uint64_t checks_bits(const float *x, size_t count);

/* For the parameters of `reduce` and the optimizer's slots; the tensors from `frozen` on are behind what is
 * trained. `tensor` must outlive it. From now on optimizer_update keeps and compares sums. The caller's:
 * checks_destroy. ERR_USAGE if memory is short. Local. */
MUST_CHECK Status checks_create(Comm *comm, Reduce *reduce, struct Optimizer *optimizer, float *params,
                                const CheckTensor *tensor, size_t tensors, size_t frozen, Checks **out);
void checks_destroy(Checks **checks);

/* Keeps sums of everything as it is now: before the first update, and after whoever else wrote. On all ranks
 * or on none. Local. */
void checks_keep(Checks *checks);

/* After an update: looks at what it has noted; true if this rank has found something so far. Local. */
bool checks_found(Checks *checks, uint64_t step);

/* ERR_REPLICAS on all ranks, with its message, if any rank has found something. Collective. */
MUST_CHECK Status checks_agree(Checks *checks);

/* Compares everything that is kept and every node's copy of the parameters; nothing may be under way. `step`
 * is for the message. Collective. */
MUST_CHECK Status checks_verify(Checks *checks, uint64_t step);

#endif
