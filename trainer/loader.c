/* SPDX-License-Identifier: MIT
 *
 * loader.c: see loader.h. */
#include "trainer/loader.h"

#include <stdlib.h>

#include "comm/arena.h"
#include "layers/ops/random.h"

struct Loader {
    const Engine *engine;
    const Data *data;
    Split split;
    bool shuffle;
    uint64_t seed;
    size_t sequences, batch_size;
    Arena *arena;
    size_t *offset, *shard;
    uint64_t *position;
    int32_t *ids, *classes;
    float *x, *values, *context;
    Batch batch;
};

Status loader_create(const Engine *engine, const Data *data, Split split, bool shuffle, Loader **out) {
    *out = NULL;
    Loader *l = calloc(1, sizeof *l);
    if (!l) return status_fail(ERR_USAGE, "memory: no room for the loader; free some");
    const ModelSpec *spec = &engine->spec;
    const DataInfo *info = data_info(data);
    *l = (Loader){.engine = engine,
                  .data = data,
                  .split = split,
                  .shuffle = shuffle,
                  .seed = (uint64_t)engine->config->run.seed,
                  .sequences = data_sequences(data, split),
                  .batch_size = engine->config->train.batch_size,
                  .arena = arena_create("batch")};
    size_t targets = info->target_per_step ? spec->max_rows : spec->max_sequences;
    arena_book(l->arena, &l->offset, (spec->max_sequences + 1) * sizeof *l->offset);
    arena_book(l->arena, &l->position, spec->max_sequences * sizeof *l->position);
    arena_book(l->arena, &l->shard, (spec->max_shards + 1) * sizeof *l->shard);
    if (info->ids) arena_book(l->arena, &l->ids, spec->max_rows * sizeof *l->ids);
    else arena_book(l->arena, &l->x, spec->max_rows * info->features * sizeof *l->x);
    if (info->context) arena_book(l->arena, &l->context, spec->max_sequences * info->context * sizeof *l->context);
    if (info->target == TARGET_CLASSES) arena_book(l->arena, &l->classes, targets * sizeof *l->classes);
    if (info->target == TARGET_VALUES) arena_book(l->arena, &l->values, targets * info->classes * sizeof *l->values);
    Status status = arena_commit(l->arena);
    if (status != OK) {
        loader_destroy(&l);
        return status;
    }
    l->batch = (Batch){
        .rows = {.offset = l->offset, .position = l->position, .shard = l->shard, .total_shards = engine->shards},
        .ids = l->ids,
        .x = l->x,
        .context = l->context,
        .classes = l->classes,
        .values = l->values};
    *out = l;
    return OK;
}

void loader_destroy(Loader **loader) {
    if (!*loader) return;
    arena_destroy(&(*loader)->arena);
    free(*loader);
    *loader = NULL;
}

size_t loader_batches(const Loader *l) {
    return l->sequences / l->batch_size + (l->sequences % l->batch_size != 0);
}

static size_t pick(const Loader *l, uint64_t epoch, size_t i) {
    if (!l->shuffle) return i;
    uint32_t word[4];
    random_words(l->seed, epoch, random_name("shuffle"), word);
    return (size_t)random_permutation((uint64_t)word[0] << 32 | word[1], l->sequences, i);
}

static void append(Loader *l, size_t sequence, uint64_t position) {
    Rows *rows = &l->batch.rows;
    const DataInfo *info = data_info(l->data);
    size_t b = rows->sequences++, row = l->offset[b];
    size_t length = data_length(l->data, l->split, sequence), target = info->target_per_step ? row : b;
    data_read(l->data, l->split, sequence, l->ids ? l->ids + row : NULL, l->x ? l->x + row * info->features : NULL,
              l->classes ? l->classes + target : NULL, l->values ? l->values + target * info->classes : NULL);
    if (l->context) data_context(l->data, l->split, sequence, l->context + b * info->context);
    l->offset[b + 1] = row + length;
    l->position[b] = position;
    if (length > rows->longest) rows->longest = length;
}

const Batch *loader_load(Loader *l, uint64_t epoch, size_t index, size_t first_shard, size_t end_shard) {
    Rows *rows = &l->batch.rows;
    size_t start = index * l->batch_size, rest = l->sequences - start;
    size_t count = rest < l->batch_size ? rest : l->batch_size;
    rows->sequences = rows->longest = 0;
    rows->first_shard = first_shard;
    rows->shards = end_shard - first_shard;
    l->offset[0] = l->shard[0] = 0;
    for (size_t s = first_shard; s < end_shard; s++) {
        size_t first, end;
        fold_items(count, rows->total_shards, s, &first, &end);
        for (size_t i = first; i < end; i++) append(l, pick(l, epoch, start + i), i);
        l->shard[s - first_shard + 1] = rows->sequences;
    }
    return &l->batch;
}
