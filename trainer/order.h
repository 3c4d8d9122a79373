/* SPDX-License-Identifier: MIT
 *
 * order.h: which sequences the batches of an epoch hold, as a function of seed, epoch and the data alone.
 *
 * Without buckets batch i holds the sequences at [i B, (i + 1) B) of the epoch's permutation. With buckets
 * (data.bucket) that permutation is cut into pools of ORDER_POOL batches, each pool is sorted by length, then
 * by the target's length, and cut into batches, and the batches of the epoch are permuted. So every sequence
 * is still seen once in an epoch, and batches differ from epoch to epoch. */
#ifndef LOCKSTEP_TRAINER_ORDER_H
#define LOCKSTEP_TRAINER_ORDER_H

#include "io/data.h"

enum { ORDER_POOL = 64 };

typedef struct Order Order;

typedef struct OrderConfig {
    size_t batch_size;
    bool shuffle; /* else file order; with buckets pools are sorted, and batches stay where they are */
    bool bucket;
    uint64_t seed;
} OrderConfig;

/* The caller's: order_destroy. The data must outlive it. Local. */
MUST_CHECK Status order_create(const Data *data, Split split, OrderConfig config, Order **out);
void order_destroy(Order **order);

/* Batches an epoch has; one of them may be short: the last, with buckets and shuffling any. */
size_t order_batches(const Order *order);
/* Sequences in batch `index` of `epoch`; *batch is for order_pick. Local. */
size_t order_batch(Order *order, uint64_t epoch, size_t index, size_t *batch);
/* Sequence i of the batch that the last order_batch gave. */
size_t order_pick(const Order *order, size_t batch, size_t i);

#endif
