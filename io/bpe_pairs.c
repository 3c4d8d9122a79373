/* SPDX-License-Identifier: MIT
 *
 * bpe_pairs.c: open addressing, at most half full. */
#include "io/bpe_pairs.h"

#include <stdlib.h>

#include "io/column.h"

static size_t slot_for(const PairTable *table, BpePair pair) {
    size_t at = pairs_place(table, pair);
    while (table->value[at] != UINT32_MAX && (table->pair[at].left != pair.left || table->pair[at].right != pair.right))
        at = (at + 1) & (table->slots - 1);
    return at;
}

static Status grow(PairTable *table) {
    PairTable larger = {.slots = table->slots ? 2 * table->slots : 1024, .used = table->used};
    TRY(cells_allocate(larger.slots, sizeof *larger.pair, "vocabulary", (void **)&larger.pair));
    Status status = cells_allocate(larger.slots, sizeof *larger.value, "vocabulary", (void **)&larger.value);
    if (status != OK) {
        free(larger.pair);
        return status;
    }
    for (size_t i = 0; i < larger.slots; i++) larger.value[i] = UINT32_MAX;
    for (size_t i = 0; i < table->slots; i++) {
        if (table->value[i] == UINT32_MAX) continue;
        const size_t at = slot_for(&larger, table->pair[i]);
        larger.pair[at] = table->pair[i];
        larger.value[at] = table->value[i];
    }
    pairs_free(table);
    *table = larger;
    return OK;
}

Status pairs_slot(PairTable *table, BpePair pair, size_t *slot, bool *found) {
    if (2 * table->used >= table->slots) TRY(grow(table));
    *slot = slot_for(table, pair);
    *found = table->value[*slot] != UINT32_MAX;
    if (*found) return OK;
    table->pair[*slot] = pair;
    table->value[*slot] = 0;
    table->used++;
    return OK;
}

void pairs_free(PairTable *table) {
    free(table->pair);
    free(table->value);
    *table = (PairTable){0};
}
