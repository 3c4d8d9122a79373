/* SPDX-License-Identifier: MIT
 *
 * bpe_pairs.h: a hash table from pairs of ids to a number, for encoding and for learning. Private to bpe*.c. */
#ifndef LOCKSTEP_IO_BPE_PAIRS_H
#define LOCKSTEP_IO_BPE_PAIRS_H

#include <stdbool.h>

#include "io/bpe.h"

typedef struct PairTable {
    BpePair *pair;   /* [slots], a power of two */
    uint32_t *value; /* [slots]; UINT32_MAX: the slot is empty */
    size_t slots, used;
} PairTable;

/* The slot of a pair, which is added with value 0 where it is new. Slots move when the table grows. */
MUST_CHECK Status pairs_slot(PairTable *table, BpePair pair, size_t *slot, bool *found);
void pairs_free(PairTable *table);

static inline size_t pairs_place(const PairTable *table, BpePair pair) {
    uint64_t x = (uint64_t)(uint32_t)pair.left << 32 | (uint32_t)pair.right;
    x = (x ^ x >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
    return (size_t)(x >> 32 ^ x) & (table->slots - 1);
}

/* Its value, UINT32_MAX where it is not there. */
static inline uint32_t pairs_find(const PairTable *table, BpePair pair) {
    if (table->slots == 0) return UINT32_MAX;
    for (size_t at = pairs_place(table, pair);; at = (at + 1) & (table->slots - 1)) {
        if (table->value[at] == UINT32_MAX) return UINT32_MAX;
        if (table->pair[at].left == pair.left && table->pair[at].right == pair.right) return table->value[at];
    }
}

/* The text form of bytes, with its end; at most twice as long. */
size_t bpe_spell(const char *bytes, size_t count, char *out);

#endif
