/* SPDX-License-Identifier: MIT
 *
 * tree.h: private to comm/. The tree of fold.h over blocks of floats: which inputs are added in which
 * order is worked out once, then run for one stretch of the block at a time. */
#ifndef LOCKSTEP_COMM_TREE_H
#define LOCKSTEP_COMM_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/fold.h"

/* A node of the tree, and where its floats are: by their place in the flat block, or among those that the
 * rank owns. */
typedef struct TreeInput {
    FoldNode node;
    float *data;
    bool owned;
} TreeInput;

/* One addition. Operands: an input (>= 0), or ~t for temporary t. */
typedef struct TreeStep {
    int32_t left, right;
    uint32_t temporary; /* of the result; the last step writes to the output instead */
} TreeStep;

typedef struct Tree {
    TreeStep *step;
    size_t steps;
    int32_t result; /* the one input, if there are no steps */
} Tree;

/* The additions that make `root` of the tree over `shards` leaves out of `inputs`, which cover it with no
 * overlap, in any order. False if memory is short or the inputs do not cover it. The caller's:
 * tree_release. */
bool tree_compile(Tree *tree, size_t shards, FoldNode root, const TreeInput *inputs, size_t count);
void tree_release(Tree *tree);

/* Elements [offset, offset + count) of the flat block, which are [at, at + count) among the owned, into
 * `out`, which may be where an input has them. */
void tree_run(const Tree *tree, const TreeInput *inputs, size_t offset, size_t at, size_t count, float *out);

/* Sums of squares in 16 lanes, element i of a chunk in lane i mod 16. Zeroed: of nothing. */
enum { TREE_LANES = 16 };
typedef struct TreeSquares {
    double lane[TREE_LANES];
} TreeSquares;

/* Adds the elements [first, first + count) of a chunk, which are x[0 ...], after all that come before them: elements
 * left out count as +0. */
void tree_squares_add(TreeSquares *squares, const float *x, size_t first, size_t count);

/* The lanes added up in a tree. Not finite if and only if an element is not. */
double tree_squares_sum(const TreeSquares *squares);

#endif
