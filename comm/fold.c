/* SPDX-License-Identifier: MIT
 *
 * fold.c: the tree of fold.h. The root is the smallest node that holds all shards; a node whose right
 * half is absent has the value of its left half. Shard counts are below 2^32, so that no range has
 * more than FOLD_MAX_SEGMENTS segments. */
#include "comm/fold.h"

/* floor(part * whole / parts) without the product. */
static size_t fraction(size_t whole, size_t parts, size_t part) {
    return whole / parts * part + whole % parts * part / parts;
}

void fold_range(size_t shards, size_t ranks, size_t rank, size_t *first, size_t *end) {
    *first = fraction(shards, ranks, rank);
    *end = fraction(shards, ranks, rank + 1);
}

void fold_items(size_t items, size_t shards, size_t shard, size_t *first, size_t *end) {
    *first = fraction(items, shards, shard);
    *end = fraction(items, shards, shard + 1);
}

FoldNode fold_root(size_t shards) {
    FoldNode root = {.first = 0, .level = 0};
    while (((size_t)1 << root.level) < shards) root.level++;
    return root;
}

size_t fold_segments(size_t shards, size_t first, size_t end, FoldNode *out) {
    unsigned top = fold_root(shards).level;
    size_t limit = end < shards ? end : (size_t)1 << top; /* absent leaves belong to whoever has the last */
    size_t count = 0;
    for (size_t at = first; at < end && at < shards && count < FOLD_MAX_SEGMENTS; count++) {
        unsigned level = 0;
        while (level < top && at % ((size_t)2 << level) == 0 && at + ((size_t)2 << level) <= limit) level++;
        out[count] = (FoldNode){.first = at, .level = level};
        at += (size_t)1 << level;
    }
    return count;
}

static double fold_node(const double *leaf, size_t shards, size_t stride, FoldNode node) {
    if (node.level == 0) return leaf[node.first * stride];
    FoldNode left = {.first = node.first, .level = node.level - 1};
    FoldNode right = {.first = node.first + ((size_t)1 << left.level), .level = left.level};
    double sum = fold_node(leaf, shards, stride, left);
    return right.first < shards ? sum + fold_node(leaf, shards, stride, right) : sum;
}

double fold_doubles(const double *leaf, size_t shards, size_t stride) {
    return shards == 0 ? 0.0 : fold_node(leaf, shards, stride, fold_root(shards));
}
