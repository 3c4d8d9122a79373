/* SPDX-License-Identifier: MIT
 *
 * order.c: see order.h. Without buckets nothing is kept; with them the table of one epoch. */
#include "trainer/order.h"

#include <stdlib.h>

#include "layers/ops/random.h"

typedef struct Entry {
    size_t length, target_length, place; /* place in the epoch's permutation: no two are equal */
    size_t sequence;
} Entry;

struct Order {
    OrderConfig config;
    const Data *data;
    Split split;
    size_t sequences;
    uint64_t epoch, key; /* of the last order_batch */
    Entry *table;        /* [sequences] with buckets */
    bool filled;
};

Status order_create(const Data *data, Split split, OrderConfig config, Order **out) {
    *out = NULL;
    Order *o = calloc(1, sizeof *o);
    if (!o) return status_fail(ERR_USAGE, "memory: no room for the order of sequences; free some");
    *o = (Order){.config = config, .data = data, .split = split, .sequences = data_sequences(data, split)};
    if (config.bucket && !(o->table = calloc(o->sequences + 1, sizeof *o->table))) {
        order_destroy(&o);
        return status_fail(ERR_USAGE, "memory: no room to sort %zu sequences (data.bucket); set it to false",
                           data_sequences(data, split));
    }
    *out = o;
    return OK;
}

void order_destroy(Order **order) {
    if (!*order) return;
    free((*order)->table);
    free(*order);
    *order = NULL;
}

size_t order_batches(const Order *o) {
    return o->sequences / o->config.batch_size + (o->sequences % o->config.batch_size != 0);
}

static uint64_t key_of(uint64_t seed, uint64_t epoch, const char *name) {
    uint32_t word[4];
    random_words(seed, epoch, random_name(name), word);
    return (uint64_t)word[0] << 32 | word[1];
}

static size_t shuffled(const Order *o, size_t place) {
    return o->config.shuffle ? (size_t)random_permutation(o->key, o->sequences, place) : place;
}

static int by_length(const void *a, const void *b) {
    const Entry *x = a, *y = b;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    if (x->target_length != y->target_length) return x->target_length < y->target_length ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

static void fill(Order *o) {
    for (size_t i = 0; i < o->sequences; i++) {
        size_t s = shuffled(o, i);
        o->table[i] = (Entry){data_length(o->data, o->split, s), data_target_length(o->data, o->split, s), i, s};
    }
    size_t pool = o->sequences / ORDER_POOL < o->config.batch_size ? o->sequences : ORDER_POOL * o->config.batch_size;
    for (size_t first = 0; first < o->sequences; first += pool) {
        size_t rest = o->sequences - first;
        qsort(o->table + first, rest < pool ? rest : pool, sizeof *o->table, by_length);
    }
}

size_t order_batch(Order *o, uint64_t epoch, size_t index, size_t *batch) {
    if (!o->filled || epoch != o->epoch) {
        o->epoch = epoch;
        o->key = key_of(o->config.seed, epoch, "shuffle");
        if (o->table) fill(o);
        o->filled = true;
    }
    *batch = index;
    if (o->table && o->config.shuffle)
        *batch = (size_t)random_permutation(key_of(o->config.seed, epoch, "bucket"), order_batches(o), index);
    size_t rest = o->sequences - *batch * o->config.batch_size;
    return rest < o->config.batch_size ? rest : o->config.batch_size;
}

size_t order_pick(const Order *o, size_t batch, size_t i) {
    size_t place = batch * o->config.batch_size + i;
    return o->table ? o->table[place].sequence : shuffled(o, place);
}
