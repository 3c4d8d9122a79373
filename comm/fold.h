/* SPDX-License-Identifier: MIT
 *
 * fold.h: the one order in which anything is summed over shards. A global batch is cut into S shards,
 * the leaves of a binary tree; node [a, a + 2^k) is its left half plus its right half, and leaves at S
 * and beyond are absent and skipped. A rank that owns the shards [first, end) contributes the maximal
 * nodes of the tree inside that range, its segments; whoever sums adds segments and inner nodes in the
 * same tree. So the sum does not depend on how many ranks there are. */
#ifndef LOCKSTEP_COMM_FOLD_H
#define LOCKSTEP_COMM_FOLD_H

#include <stdbool.h>
#include <stddef.h>

/* A node [first, first + 2^level) of the tree over `total` shards. */
typedef struct FoldNode {
    size_t first;
    unsigned level;
} FoldNode;

enum { FOLD_MAX_SEGMENTS = 64 };

/* The shards [*first, *end) of rank r of R: floor(r S / R) ... floor((r+1) S / R) - 1. Local. */
void fold_range(size_t shards, size_t ranks, size_t rank, size_t *first, size_t *end);

/* The items (sequences of a batch of n) of shard s of S: floor(s n / S) ... floor((s+1) n / S) - 1. */
void fold_items(size_t items, size_t shards, size_t shard, size_t *first, size_t *end);

/* Writes the maximal nodes inside [first, end) in order; returns how many (<= FOLD_MAX_SEGMENTS). */
size_t fold_segments(size_t shards, size_t first, size_t end, FoldNode *out);

/* The root of the tree over `shards` leaves. */
FoldNode fold_root(size_t shards);

/* Folds leaf[s * stride], s < shards, in the tree. 0 shards give 0. */
double fold_doubles(const double *leaf, size_t shards, size_t stride);

#endif
