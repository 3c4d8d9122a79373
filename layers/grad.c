/* SPDX-License-Identifier: MIT
 *
 * grad.c: gradients of parameters, folded over this rank's shards in the tree of comm/fold.h into the
 * memory of the rank's segments. The fold is a short program, made once: leaves in the order of the
 * shards, each followed by the additions that it completes. A parameter that several layers share is
 * summed over them shard by shard first and folded with its last contributor, so that its bits do not
 * depend on how shards are spread over ranks. */
#include <string.h>

#include "layers/model_parts.h"
#include "layers/ops/ops.h"

/* ---- the program --------------------------------------------------------------------------------- */

/* Levels of the tree at which a node inside `shards` neighbours can have a right half. */
static size_t levels_of(size_t shards) {
    size_t levels = 0;
    while (((size_t)1 << levels) < shards) levels++;
    return levels;
}

static void add_step(GradSink *sink, FoldStep step) {
    if (sink->steps < sink->step_limit) sink->step[sink->steps] = step;
    sink->steps++;
}

/* Node [first, first + 2^level) into buffer `to`; its right half is made in the level's own buffer. */
static void add_node(GradSink *sink, FoldNode node, size_t first_shard, size_t end_shard, size_t to) {
    if (node.level == 0) {
        size_t shard = node.first - first_shard;
        if (shard < sink->shards) sink->leaf[shard] = sink->steps;
        add_step(sink, (FoldStep){.leaf = true, .shard = shard, .to = to});
        return;
    }
    unsigned half = node.level - 1;
    add_node(sink, (FoldNode){node.first, half}, first_shard, end_shard, to);
    if (end_shard - node.first <= (size_t)1 << half) return; /* the right half is absent */
    size_t own = sink->segments + half;
    add_node(sink, (FoldNode){node.first + ((size_t)1 << half), half}, first_shard, end_shard, own);
    add_step(sink, (FoldStep){.from = own, .to = to});
}

Status grad_plan(Model *model) {
    GradSink *sink = &model->sink;
    const ModelSpec *spec = model->spec;
    sink->model = model;
    if (!spec->trains || model->memory.trainable == 0) return OK;
    sink->levels = levels_of(spec->max_shards);
    size_t head = 0, shared = 0;
    for (size_t i = 0; i < model->params; i++) {
        ParamNode *node = model->param[i];
        if (node->span == 0 || node->param.frozen) continue;
        if (sink->level_span < node->span) sink->level_span = node->span;
        if (node->expected > 2 && shared < node->span) shared = node->span;
        if (node->expected < 2) continue;
        size_t count;
        if (!size_multiply3(spec->max_shards, node->span, sizeof(real), &count)) count = SIZE_MAX;
        arena_book(model->fold, &node->earlier, count);
    }
    const LayerNode *last = &model->node[model->layers - 1];
    for (size_t i = 0; model->fused && i < last->params; i++) {
        ParamNode *node = model->param[last->first_param + i];
        node->head_offset = head;
        head += node->span;
    }
    if (sink->level_span < head) sink->level_span = head;
    size_t bytes;
    if (!size_multiply3(sink->levels, sink->level_span, sizeof(real), &bytes)) bytes = SIZE_MAX;
    arena_book(model->fold, &sink->level, bytes);
    arena_book(model->fold, &sink->scratch, shared * sizeof(real));
    sink->step_limit = 2 * spec->max_shards;
    sink->step = model_keep(model, sink->step_limit * sizeof *sink->step);
    sink->leaf = model_keep(model, spec->max_shards * sizeof *sink->leaf);
    return model->status;
}

Status grad_allocate(Model *model, size_t segments, const FoldNode *segment, real *const *gradient) {
    GradSink *sink = &model->sink;
    if (!sink->step) return OK;
    if (segments == 0 || segments > FOLD_MAX_SEGMENTS)
        return status_fail(ERR_INTERNAL, "model: %zu segments of gradients", segments);
    /* The last segment may reach beyond the last shard: what is absent there is skipped. */
    size_t first = segment[0].first, total = model->spec->total_shards;
    size_t end = segment[segments - 1].first + ((size_t)1 << segment[segments - 1].level);
    if (end > total) end = total;
    sink->segments = segments;
    sink->shards = end - first;
    sink->steps = 0;
    if (sink->shards > model->spec->max_shards)
        return status_fail(ERR_INTERNAL, "model: segments hold %zu shards, planned were %zu", sink->shards,
                           model->spec->max_shards);
    for (size_t i = 0; i < segments; i++) {
        sink->gradient[i] = gradient[i];
        add_node(sink, segment[i], first, end, i);
    }
    if (sink->steps > sink->step_limit) return status_fail(ERR_INTERNAL, "model: segments overlap");
    return OK;
}

/* ---- gradients of one parameter -------------------------------------------------------------------- */

static real *buffer_of(const GradSink *sink, const ParamNode *node, size_t buffer, bool head) {
    if (buffer < sink->segments) return sink->gradient[buffer] + node->param.offset;
    return sink->level + (buffer - sink->segments) * sink->level_span + (head ? node->head_offset : 0);
}

/* The padding behind a parameter is part of the sum and of its norm. */
static void clear_padding(const GradSink *sink, const ParamNode *node) {
    for (size_t i = 0; i < sink->segments; i++)
        memset(sink->gradient[i] + node->param.offset + node->param.count, 0,
               (node->span - node->param.count) * sizeof(real));
}

/* Of a table whose other rows nobody reads, the rows that are looked up: neighbours at once. */
static void add_to(const ParamNode *node, const real *from, real *to) {
    const Param *p = &node->param;
    if (!p->touched_only) {
        op_add(p->count, from, to);
        return;
    }
    for (size_t row = 0, end; row < p->dim[0]; row = end + 1) {
        for (end = row; end < p->dim[0] && p->row_count[end] > 0;) end++;
        if (end > row) op_add((end - row) * p->dim[1], from + row * p->dim[1], to + row * p->dim[1]);
    }
}

static void fold_last(const GradSink *sink, const Pass *pass, ParamNode *node, ShardGradient leaf, void *context) {
    for (size_t i = 0; i < sink->steps; i++) {
        const FoldStep *step = &sink->step[i];
        real *to = buffer_of(sink, node, step->to, false);
        if (!step->leaf) {
            add_to(node, buffer_of(sink, node, step->from, false), to);
            continue;
        }
        leaf(context, pass, step->shard, to);
        if (node->expected > 1) op_add(node->param.count, node->earlier + step->shard * node->span, to);
    }
    clear_padding(sink, node);
}

/* ---- what is final ---------------------------------------------------------------------------------------- */

typedef struct Range {
    size_t offset, count;
} Range;

static void announce(const Model *model, Range *range) {
    if (range->count && model->ready) model->ready(model->ready_context, range->offset, range->count);
    *range = (Range){0, 0};
}

/* Without a range it is announced at once, while the rest of its layer goes backward. */
static void finish_param(const Model *model, ParamNode *node, Range *range) {
    Range alone = {node->param.offset, node->span};
    node->done = true;
    if (!range) {
        announce(model, &alone);
        return;
    }
    if (range->count && range->offset + range->count != node->param.offset) announce(model, range);
    if (range->count == 0) range->offset = node->param.offset;
    range->count += node->span;
}

/* ---- a parameter that a layer computes by itself ---------------------------------------------------------- */

void grad_shards(const Pass *pass, Param *param, ShardGradient leaf, void *context) {
    GradSink *sink = pass->sink;
    ParamNode *node = param_owner(param);
    if (param->frozen) return;
    size_t seen = node->seen++;
    if (node->seen == node->expected) {
        fold_last(sink, pass, node, leaf, context);
        finish_param(sink->model, node, NULL);
        return;
    }
    for (size_t s = 0; s < sink->shards; s++) {
        real *earlier = node->earlier + s * node->span;
        if (seen == 0) {
            leaf(context, pass, s, earlier);
            continue;
        }
        leaf(context, pass, s, sink->scratch);
        op_add(node->param.count, sink->scratch, earlier);
    }
}

static void zero_leaf(void *context, const Pass *pass, size_t s, real *g) {
    (void)pass;
    (void)s;
    const Param *param = context;
    op_zero(param->count, g);
}

/* ---- a fused layer: shard after shard ----------------------------------------------------------------- */

real *grad_rows(const Pass *pass, Param *param, size_t shard) {
    const GradSink *sink = pass->sink;
    const ParamNode *node = param_owner(param);
    if (param->frozen) return NULL;
    /* The last layer of the list is the first contributor. */
    if (node->expected > 1) return node->earlier + shard * node->span;
    return buffer_of(sink, node, sink->step[sink->leaf[shard]].to, true);
}

void grad_shard_done(Model *model, size_t layer, size_t shard) {
    const GradSink *sink = &model->sink;
    const LayerNode *layer_node = &model->node[layer];
    for (size_t i = 0; i < layer_node->params; i++) {
        Param *param = &model->param[layer_node->first_param + i]->param;
        const ParamNode *node = param_owner(param);
        if (param->frozen || node->expected > 1) continue;
        for (size_t k = sink->leaf[shard] + 1; k < sink->steps && !sink->step[k].leaf; k++)
            op_add(param->count, buffer_of(sink, node, sink->step[k].from, true),
                   buffer_of(sink, node, sink->step[k].to, true));
    }
}

void grad_rows_done(Model *model, size_t layer) {
    const LayerNode *layer_node = &model->node[layer];
    for (size_t i = 0; i < layer_node->params; i++) {
        Param *param = &model->param[layer_node->first_param + i]->param;
        ParamNode *node = param_owner(param);
        if (param->frozen) continue;
        node->seen++;
        if (node->expected == 1) clear_padding(&model->sink, node);
    }
}

/* ---- a layer is through ------------------------------------------------------------------------------------ */

void grad_start(Model *model, const Pass *pass) {
    Range range = {0, 0};
    for (size_t i = 0; i < model->params; i++) {
        ParamNode *node = model->param[i];
        node->seen = node->due = 0;
        node->done = false;
        if (node->param.same_as || node->param.frozen || node->expected > 0) continue;
        /* The loss does not depend on it. */
        fold_last(pass->sink, pass, node, zero_leaf, &node->param);
        finish_param(model, node, &range);
    }
    announce(model, &range);
}

void grad_layer_done(Model *model, const Pass *pass, size_t layer) {
    const LayerNode *layer_node = &model->node[layer];
    Range range = {0, 0};
    for (size_t i = 0; i < layer_node->params; i++) {
        Param *param = &model->param[layer_node->first_param + i]->param;
        ParamNode *node = param_owner(param);
        if (param->frozen) continue;
        node->due++;
        /* A layer that had nothing to say contributes zeros. */
        if (node->seen < node->due) grad_shards(pass, param, zero_leaf, &node->param);
        if (node->seen == node->expected && !node->done) finish_param(model, node, &range);
    }
    announce(model, &range);
}
