/* SPDX-License-Identifier: MIT
 *
 * loader.c: see loader.h. */
#include "trainer/loader.h"

#include <stdlib.h>

#include "comm/arena.h"
#include "trainer/order.h"

struct Loader {
    const Engine *engine;
    const Data *data;
    Split split;
    Order *order;
    Arena *arena;
    size_t *offset, *target_offset, *shard;
    uint64_t *position;
    int32_t *ids, *target_ids, *classes;
    float *x, *values, *context;
    Batch batch;
};

LoaderConfig loader_config(const Config *config, bool training) {
    return (LoaderConfig){.batch_size = config->train.batch_size,
                          .shuffle = training && config->data.shuffle,
                          .bucket = training && config->data.bucket};
}

static void book(Loader *l) {
    const ModelSpec *spec = &l->engine->spec;
    const DataInfo *info = data_info(l->data);
    bool decodes = info->target_vocabulary > 0;
    size_t targets = decodes ? spec->max_target_rows : info->target_per_step ? spec->max_rows : spec->max_sequences;
    arena_book(l->arena, &l->offset, (spec->max_sequences + 1) * sizeof *l->offset);
    arena_book(l->arena, &l->position, spec->max_sequences * sizeof *l->position);
    arena_book(l->arena, &l->shard, (spec->max_shards + 1) * sizeof *l->shard);
    if (info->ids) arena_book(l->arena, &l->ids, spec->max_rows * sizeof *l->ids);
    else arena_book(l->arena, &l->x, spec->max_rows * info->features * sizeof *l->x);
    if (info->context) arena_book(l->arena, &l->context, spec->max_sequences * info->context * sizeof *l->context);
    if (decodes) {
        arena_book(l->arena, &l->target_offset, (spec->max_sequences + 1) * sizeof *l->target_offset);
        arena_book(l->arena, &l->target_ids, targets * sizeof *l->target_ids);
    }
    if (info->target == TARGET_CLASSES) arena_book(l->arena, &l->classes, targets * sizeof *l->classes);
    if (info->target == TARGET_VALUES) arena_book(l->arena, &l->values, targets * info->classes * sizeof *l->values);
}

Status loader_create(const Engine *engine, const Data *data, Split split, LoaderConfig config, Loader **out) {
    *out = NULL;
    Loader *l = calloc(1, sizeof *l);
    if (!l) return status_fail(ERR_USAGE, "memory: no room for the loader; free some");
    *l = (Loader){.engine = engine, .data = data, .split = split, .arena = arena_create("batch")};
    book(l);
    OrderConfig order = {config.batch_size, config.shuffle, config.bucket, (uint64_t)engine->config->run.seed};
    Status status = arena_commit(l->arena);
    if (status == OK) status = order_create(data, split, order, &l->order);
    if (status != OK) {
        loader_destroy(&l);
        return status;
    }
    l->batch = (Batch){.rows = {.offset = l->offset,
                                .target_offset = l->target_offset,
                                .position = l->position,
                                .shard = l->shard,
                                .total_shards = engine->shards},
                       .ids = l->ids,
                       .x = l->x,
                       .context = l->context,
                       .target_ids = l->target_ids,
                       .classes = l->classes,
                       .values = l->values};
    *out = l;
    return OK;
}

void loader_destroy(Loader **loader) {
    if (!*loader) return;
    order_destroy(&(*loader)->order);
    arena_destroy(&(*loader)->arena);
    free(*loader);
    *loader = NULL;
}

size_t loader_batches(const Loader *l) {
    return order_batches(l->order);
}

/* The target's stream of sequence b: the beginning and the symbols without the end; without targets the
 * beginning alone. */
static void append_target(Loader *l, size_t b, size_t rows) {
    Rows *all = &l->batch.rows;
    size_t row = l->target_offset[b], count = rows ? rows : 1;
    int32_t *read = l->target_ids + row;
    read[0] = (int32_t)data_info(l->data)->target_vocabulary;
    for (size_t t = 1; t < count; t++) read[t] = l->classes[row + t - 1];
    l->target_offset[b + 1] = row + count;
    if (count > all->target_longest) all->target_longest = count;
}

static void append(Loader *l, size_t sequence, uint64_t position) {
    Rows *rows = &l->batch.rows;
    const DataInfo *info = data_info(l->data);
    size_t b = rows->sequences++, row = l->offset[b], length = data_length(l->data, l->split, sequence);
    size_t target = l->target_offset ? l->target_offset[b] : info->target_per_step ? row : b;
    data_read(l->data, l->split, sequence, l->ids ? l->ids + row : NULL, l->x ? l->x + row * info->features : NULL,
              l->classes ? l->classes + target : NULL, l->values ? l->values + target * info->classes : NULL);
    if (l->context) data_context(l->data, l->split, sequence, l->context + b * info->context);
    l->offset[b + 1] = row + length;
    l->position[b] = position;
    if (length > rows->longest) rows->longest = length;
    if (l->target_offset) append_target(l, b, l->classes ? data_target_length(l->data, l->split, sequence) : 0);
}

const Batch *loader_load(Loader *l, uint64_t epoch, size_t index, size_t first_shard, size_t end_shard) {
    Rows *rows = &l->batch.rows;
    size_t batch, count = order_batch(l->order, epoch, index, &batch);
    rows->sequences = rows->longest = rows->target_longest = 0;
    rows->first_shard = first_shard;
    rows->shards = end_shard - first_shard;
    l->offset[0] = l->shard[0] = 0;
    if (l->target_offset) l->target_offset[0] = 0;
    for (size_t s = first_shard; s < end_shard; s++) {
        size_t first, end;
        fold_items(count, rows->total_shards, s, &first, &end);
        for (size_t i = first; i < end; i++) append(l, order_pick(l->order, batch, i), i);
        l->shard[s - first_shard + 1] = rows->sequences;
    }
    return &l->batch;
}
