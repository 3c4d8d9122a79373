/* SPDX-License-Identifier: MIT
 *
 * memory.c: who reads what and when, and from that where activations, gradients and saved memory lie.
 * Pieces whose lives do not meet share bytes. A model that does not train keeps nothing: a value dies
 * with its last reader. */
#include <stdlib.h>
#include <string.h>

#include "layers/model_parts.h"

size_t forward_moment(const Model *model, size_t layer) {
    return model->fused && layer + 1 == model->layers ? model->layers : layer;
}
size_t backward_moment(const Model *model, size_t layer) {
    return model->fused && layer + 1 == model->layers ? model->layers : 2 * model->layers - layer;
}

static ValueNode *node_of(const Value *value) {
    return (ValueNode *)(uintptr_t)value;
}

/* ---- readers and contributors --------------------------------------------------------------------- */

static void read_at(ValueNode *node, size_t moment) {
    if (node->last_read < moment) node->last_read = moment;
}

/* Trainable things wait for the gradients of what they produce. */
static void find_wants(Model *model) {
    const ModelSpec *spec = model->spec;
    model->data->wanted = spec->trains && spec->input_gradient && !spec->ids;
    if (model->context) model->context->wanted = spec->trains && spec->input_gradient;
    for (size_t l = 0; l < model->layers; l++) {
        LayerNode *node = &model->node[l];
        for (size_t i = 0; i < node->params; i++)
            if (!model->param[node->first_param + i]->param.frozen) node->wants = spec->trains;
        for (size_t i = 0; i < node->layer.inputs; i++)
            if (node_of(node->layer.in[i])->wanted) node->wants = true;
        for (size_t i = 0; i < node->layer.outputs; i++) node_of(node->layer.out[i])->wanted = node->wants;
    }
}

/* What depends on the target's stream goes forward again in model_decode; what that reads of the rest stays. */
static void find_decoded(Model *model) {
    if (model->target) model->target->decoded = true;
    for (size_t l = 0; l < model->layers; l++) {
        LayerNode *node = &model->node[l];
        for (size_t i = 0; i < node->layer.inputs; i++)
            if (node_of(node->layer.in[i])->decoded) node->decodes = true;
        for (size_t i = 0; i < node->layer.outputs; i++) node_of(node->layer.out[i])->decoded = node->decodes;
        for (size_t i = 0; i < node->layer.inputs && node->decodes && model->spec->max_beginnings > 0; i++)
            if (!node_of(node->layer.in[i])->decoded) read_at(node_of(node->layer.in[i]), 2 * model->layers + 1);
    }
}

static void read_by_loss(const Model *model, ValueNode *node, bool contributes) {
    node->value.readers++;
    read_at(node, model->layers);
    if (!contributes || !node->wanted) return;
    node->contributions = 1;
    node->first_gradient = model->layers;
}

static void contribute(Model *model, size_t l, size_t input) {
    Layer *layer = &model->node[l].layer;
    ValueNode *value = node_of(layer->in[input]);
    if (!value->wanted) return;
    if (value->contributions++ == 0) {
        value->first_gradient = backward_moment(model, l);
        return;
    }
    Alias *alias = &model->alias[model->aliases++];
    *alias = (Alias){.value = value->value, .origin = &value->value, .layer = l};
    layer->in[input] = &alias->value;
    model->node[l].aliases++;
}

/* In the order of backward: a layer is active if something waits below and a gradient comes from above. */
static void find_active(Model *model, size_t l) {
    LayerNode *node = &model->node[l];
    Layer *layer = &node->layer;
    for (size_t i = 0; i < layer->outputs; i++)
        if (node_of(layer->out[i])->contributions > 0) node->active = node->wants;
    /* Backward reads the first output, also where nobody else does; the others only where they are read. */
    node->remade = node->remade && node->active && backward_moment(model, l) > model->layers;
    if (node->active && (layer->type->reads & READS_OUT) && (!node->remade || layer->out[0]->readers == 0))
        read_at(node_of(layer->out[0]), backward_moment(model, l));
    for (size_t i = 0; i < layer->inputs; i++) {
        ValueNode *value = node_of(layer->in[i]);
        value->value.readers++;
        read_at(value, forward_moment(model, l));
        if (node->remade || (node->active && (layer->type->reads & READS_IN)))
            read_at(value, backward_moment(model, l));
    }
    if (!node->active) return;
    node->first_alias = model->aliases;
    for (size_t i = 0; i < layer->inputs; i++) contribute(model, l, i);
    for (size_t i = 0; i < node->params; i++) {
        Param *param = &model->param[node->first_param + i]->param;
        if (!param->frozen) param_owner(param)->expected++;
    }
}

static Status connect(Model *model) {
    const ModelSpec *spec = model->spec;
    size_t inputs = 0;
    for (size_t l = 0; l < model->layers; l++) inputs += model->node[l].layer.inputs;
    model->alias = model_keep(model, inputs * sizeof *model->alias);
    if (!model->alias) return model->status;
    find_wants(model);
    find_decoded(model);
    TRY(decode_plan(model));
    if (spec->loss.kind == LOSS_PROBE) {
        for (size_t p = 0; p < spec->probes; p++) read_by_loss(model, model->probe[p], true);
    } else {
        read_by_loss(model, model->output, spec->loss.kind != LOSS_NONE);
    }
    for (size_t l = model->layers; l-- > 0;) find_active(model, l);
    for (size_t i = 0; i < model->params; i++)
        model->param[i]->param.uses = param_owner(&model->param[i]->param)->expected;
    return OK;
}

/* ---- lives --------------------------------------------------------------------------------------------- */

Status memory_piece(Model *model, Piece piece) {
    TRY(model_grow((void **)&model->piece, model->pieces, sizeof(Piece)));
    model->piece[model->pieces++] = piece;
    return OK;
}

static size_t value_bytes(const Model *model, const Value *value) {
    return plan_max_rows(&model->plan, value->grain) * value->features * sizeof(real);
}

/* When the layer that writes a value writes it once more, if the value is dead by then. */
static size_t remade_moment(const Model *model, const ValueNode *node) {
    if (!node->value.source || !model->node[node->layer].remade) return 0;
    const size_t moment = backward_moment(model, node->layer);
    return node->last_read < moment ? moment : 0;
}

/* What lasts from `moment` on until the layers that decode go forward again: it shares nothing with any of them. */
static size_t lasting_from(const Model *model, size_t moment) {
    for (size_t l = 0; l < model->layers; l++)
        if (model->node[l].decodes && forward_moment(model, l) < moment) return forward_moment(model, l);
    return moment;
}

static Status add_pieces(Model *model) {
    size_t after = 2 * model->layers + 1;
    for (size_t i = 0; i < model->pieces; i++) {
        Piece *piece = &model->piece[i];
        if (piece->layer == SIZE_MAX) continue;
        piece->first = forward_moment(model, piece->layer);
        piece->last = model->node[piece->layer].active ? backward_moment(model, piece->layer) : piece->first;
        if (!piece->lasts) continue;
        piece->first = lasting_from(model, piece->first);
        piece->last = after;
    }
    for (size_t i = 0; i < model->values; i++) {
        ValueNode *node = model->value[i];
        if (node == model->output && model->fused) continue;
        size_t bytes = value_bytes(model, &node->value), first = forward_moment(model, node->layer);
        if (node->last_read == after) first = lasting_from(model, first);
        if (node->value.source && (node->value.readers > 0 || node->last_read > 0))
            TRY(memory_piece(model, (Piece){.slot = &node->value.v,
                                            .bytes = bytes,
                                            .first = first,
                                            .last = node->last_read,
                                            .again = remade_moment(model, node),
                                            .layer = SIZE_MAX,
                                            .lasts = node->last_read == after}));
        if (node->wanted && node->contributions > 0)
            TRY(memory_piece(model, (Piece){.slot = &node->value.g,
                                            .bytes = bytes,
                                            .first = node->first_gradient,
                                            .last = node->value.source ? backward_moment(model, node->layer) : after,
                                            .layer = SIZE_MAX}));
    }
    for (size_t i = 0; i < model->aliases; i++) {
        Alias *alias = &model->alias[i];
        size_t moment = backward_moment(model, alias->layer);
        TRY(memory_piece(model, (Piece){.slot = &alias->value.g,
                                        .bytes = value_bytes(model, alias->origin),
                                        .first = moment,
                                        .last = moment,
                                        .layer = SIZE_MAX}));
    }
    return OK;
}

/* ---- places ---------------------------------------------------------------------------------------------- */

static bool lives_at(const Piece *piece, size_t moment) {
    return (piece->first <= moment && moment <= piece->last) || (piece->again > 0 && piece->again == moment);
}

static bool lives_meet(const Piece *a, const Piece *b) {
    return (a->first <= b->last && b->first <= a->last) || (a->again > 0 && lives_at(b, a->again)) ||
           (b->again > 0 && lives_at(a, b->again));
}

static int larger_first(const void *left, const void *right) {
    const Piece *a = left, *b = right;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first) return a->first > b->first ? 1 : -1;
    return (a->slot > b->slot) - (a->slot < b->slot);
}

/* Greedy by size: each piece goes to the lowest place that is free during its life. */
static Status place_pieces(Model *model) {
    size_t total = 0;
    for (size_t i = 0; i < model->pieces; i++) {
        size_t *bytes = &model->piece[i].bytes;
        *bytes = (*bytes + 63) / 64 * 64;
        if (total > SIZE_MAX - *bytes)
            return status_fail(
                ERR_USAGE,
                "model: its activations overflow the address space; make the layers or train.batch_size smaller");
        total += *bytes;
    }
    qsort(model->piece, model->pieces, sizeof *model->piece, larger_first);
    size_t end = 0;
    for (size_t i = 0; i < model->pieces; i++) {
        Piece *piece = &model->piece[i];
        for (bool moved = true; moved;) {
            moved = false;
            for (size_t j = 0; j < i; j++) {
                const Piece *other = &model->piece[j];
                if (!lives_meet(piece, other) || piece->offset >= other->offset + other->bytes ||
                    other->offset >= piece->offset + piece->bytes)
                    continue;
                piece->offset = other->offset + other->bytes;
                moved = true;
            }
        }
        if (end < piece->offset + piece->bytes) end = piece->offset + piece->bytes;
        arena_book_at(model->values_arena, piece->slot, piece->offset, piece->bytes);
    }
    arena_book_at(model->values_arena, &model->values_base, 0, end);
    return OK;
}

/* The most that is saved at any moment. */
static size_t saved_peak(const Model *model) {
    size_t peak = 0;
    for (size_t moment = 0; moment <= 2 * model->layers; moment++) {
        size_t bytes = 0;
        for (size_t i = 0; i < model->pieces; i++) {
            const Piece *piece = &model->piece[i];
            if (piece->layer != SIZE_MAX && lives_at(piece, moment)) bytes += piece->bytes;
        }
        if (bytes > peak) peak = bytes;
    }
    return peak;
}

Status memory_plan(Model *model) {
    TRY(connect(model));
    TRY(add_pieces(model));
    TRY(place_pieces(model));
    model->memory.saved = saved_peak(model);
    model->memory.activations = arena_bytes(model->values_arena) - model->memory.saved;
    return OK;
}

Status memory_allocate(Model *model) {
    size_t tmp = arena_bytes(model->tmp);
    if (tmp != SIZE_MAX) arena_book_at(model->tmp, &model->tmp_base, 0, tmp);
    TRY(arena_commit(model->values_arena));
    TRY(arena_commit(model->tmp));
    TRY(arena_commit(model->state));
    TRY(arena_commit(model->index));
    return arena_commit(model->fold);
}

/* ---- poison ---------------------------------------------------------------------------------------------- */

void memory_enter(Model *model, size_t moment, bool decodes) {
    if (!model->poison) return;
    size_t tmp = arena_bytes(model->tmp);
    if (tmp) memset(model->tmp_base, 0xff, tmp);
    for (size_t i = 0; i < model->pieces; i++) {
        const Piece *piece = &model->piece[i];
        const bool starts = piece->first == moment && !(decodes && piece->lasts);
        if ((starts || (piece->again > 0 && piece->again == moment)) && piece->bytes)
            memset(model->values_base + piece->offset, 0xff, piece->bytes);
    }
}

void memory_leave(Model *model, size_t moment) {
    if (!model->poison) return;
    for (size_t i = 0; i < model->pieces; i++) {
        const Piece *piece = &model->piece[i];
        if ((piece->last == moment || (piece->again > 0 && piece->again == moment)) && piece->bytes)
            memset(model->values_base + piece->offset, 0xff, piece->bytes);
    }
}
