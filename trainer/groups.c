/* SPDX-License-Identifier: MIT
 *
 * groups.c: see groups.h. Several groups work like carrying in addition: each group leaves nodes of the
 * tree on a stack, and two neighbours that form the next larger node are added at once. A node that
 * begins one of the rank's segments lies in that segment's own memory from the start. */
#include "trainer/groups.h"

#include <stdlib.h>

#include "comm/arena.h"
#include "comm/trace.h"
#include "layers/ops/ops.h"
#include "trainer/step.h"

typedef struct Sum {
    FoldNode node;
    float *block;
} Sum;

struct Groups {
    Engine *engine;
    Loader *loader;
    const FoldNode *segment; /* mine */
    size_t segments;
    Sum stack[2 * FOLD_MAX_SEGMENTS];
    size_t depth;
    float *spare[2 * FOLD_MAX_SEGMENTS]; /* blocks not in use */
    size_t spares;
    float *own[2 * FOLD_MAX_SEGMENTS]; /* blocks to give back */
    size_t owned;
    double data_seconds;
};

static size_t block_bytes(const Groups *g) {
    return g->engine->memory.trainable * sizeof(float);
}

static bool single(const Groups *g) {
    return engine_group_end(g->engine, g->engine->first_shard) == g->engine->end_shard;
}

/* Nodes that can lie on the stack beside the segments: one per level above a group, and a group's own. */
static size_t spare_blocks(const Groups *g) {
    size_t levels = 1;
    for (size_t n = g->engine->group; n < g->engine->end_shard - g->engine->first_shard; n *= 2) levels++;
    FoldNode node[FOLD_MAX_SEGMENTS];
    size_t most = 0;
    for (size_t first = g->engine->first_shard, end; first < g->engine->end_shard; first = end) {
        end = engine_group_end(g->engine, first);
        size_t count = fold_segments(g->engine->shards, first, end, node);
        if (count > most) most = count;
    }
    return levels + most;
}

Status groups_create(Engine *engine, Loader *loader, Groups **out) {
    *out = NULL;
    Groups *g = calloc(1, sizeof *g);
    if (!g) return status_fail(ERR_USAGE, "memory: no room for groups of shards; free some");
    g->engine = engine;
    g->loader = loader;
    g->segments = reduce_segments(engine->reduce, &g->segment);
    size_t blocks = single(g) || block_bytes(g) == 0 ? 0 : spare_blocks(g);
    while (g->owned < blocks && (g->own[g->owned] = pages_alloc(block_bytes(g))) != NULL) g->owned++;
    if (g->owned < blocks) {
        groups_destroy(&g);
        return status_fail(
            ERR_USAGE, "memory: train.shards_at_once needs %zu more blocks of gradients that are not there; raise it",
            blocks);
    }
    for (size_t i = 0; i < blocks; i++) g->spare[g->spares++] = g->own[i];
    *out = g;
    return OK;
}

void groups_destroy(Groups **groups) {
    Groups *g = *groups;
    if (!g) return;
    for (size_t i = 0; i < g->owned; i++) pages_free(g->own[i], block_bytes(g));
    free(g);
    *groups = NULL;
}

static size_t segment_at(const Groups *g, size_t first) {
    for (size_t i = 0; i < g->segments; i++)
        if (g->segment[i].first == first) return i;
    return g->segments;
}

static bool is_segment(const Groups *g, FoldNode node) {
    size_t i = segment_at(g, node.first);
    return i < g->segments && g->segment[i].level == node.level;
}

/* Adds up the top of the stack as far as the tree allows. */
static void carry(Groups *g) {
    for (;;) {
        Sum *top = &g->stack[g->depth - 1];
        size_t size = (size_t)1 << top->node.level, total = g->engine->shards;
        if (is_segment(g, top->node)) return;
        if (top->node.first % (2 * size) == 0) {
            if (top->node.first + size < total) return; /* its right half is yet to come */
            top->node.level++;
            continue;
        }
        if (g->depth < 2 || g->stack[g->depth - 2].node.level != top->node.level) return;
        Sum *left = top - 1;
        op_add(g->engine->memory.trainable, top->block, left->block);
        g->spare[g->spares++] = top->block;
        left->node.level++;
        g->depth--;
    }
}

static void one_group(Groups *g, const Batch *batch, uint64_t step, ShardResult *result) {
    Engine *e = g->engine;
    FoldNode node[FOLD_MAX_SEGMENTS];
    float *block[FOLD_MAX_SEGMENTS];
    size_t first = batch->rows.first_shard, count = fold_segments(e->shards, first, first + batch->rows.shards, node);
    for (size_t i = 0; i < count; i++) {
        size_t segment = segment_at(g, node[i].first);
        block[i] = segment < g->segments ? reduce_gradient(e->reduce, segment) : g->spare[--g->spares];
    }
    if (model_gradients(e->model, count, node, block) != OK) comm_abort(e->comm, ERR_INTERNAL);
    model_train(e->model, batch, (uint64_t)e->config->run.seed, step, NULL, NULL, result);
    for (size_t i = 0; i < count; i++) {
        g->stack[g->depth++] = (Sum){node[i], block[i]};
        carry(g);
    }
}

static const Batch *load(Groups *g, uint64_t epoch, size_t index, uint64_t step, size_t first, size_t end) {
    double since = clock_seconds(), begun = trace_time();
    const Batch *batch = loader_load(g->loader, epoch, index, first, end);
    g->data_seconds += clock_seconds() - since;
    trace_span(TRACE_STEP, "data", begun, (int64_t)step, 0);
    return batch;
}

/* How often the global batch looks up each row must be known before the first gradient. Returns what was loaded last. */
static const Batch *count_rows(Groups *g, uint64_t epoch, size_t index, uint64_t step) {
    Engine *e = g->engine;
    const Batch *batch = NULL;
    if (!e->counts) return NULL;
    uint32_t *counts = row_counts_begin(e->counts);
    for (size_t first = e->first_shard, end; first < e->end_shard; first = end) {
        end = engine_group_end(e, first);
        batch = load(g, epoch, index, step, first, end);
        model_count_rows(e->model, batch, counts);
    }
    row_counts_sum(e->counts);
    engine_counted(e);
    return batch;
}

StepRows groups_train(Groups *g, uint64_t epoch, size_t index, uint64_t step, ModelReady ready, void *context,
                      ShardResult *result) {
    Engine *e = g->engine;
    StepRows rows = {0};
    g->depth = 0;
    g->data_seconds = 0;
    const Batch *counted = count_rows(g, epoch, index, step);
    for (size_t first = e->first_shard, end; first < e->end_shard; first = end) {
        end = engine_group_end(e, first);
        const Batch *batch = counted && single(g) ? counted : load(g, epoch, index, step, first, end);
        rows.inputs += (double)rows_of(&batch->rows, PER_STEP);
        if (batch->rows.target_offset) rows.targets += (double)rows_of(&batch->rows, PER_TARGET_STEP);
        if (single(g)) model_train(e->model, batch, (uint64_t)e->config->run.seed, step, ready, context, result);
        else one_group(g, batch, step, result + (first - e->first_shard));
    }
    if (!single(g)) ready(context, 0, e->memory.trainable);
    return rows;
}

double groups_data_seconds(const Groups *g) {
    return g->data_seconds;
}
