/* SPDX-License-Identifier: MIT
 *
 * plan.c: what a layer may ask for in its plan: facts of the run, outputs, parameters, packed weights
 * and memory. Calls that return no Status leave a failure in model->status, which ends the planning. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "layers/model_parts.h"

/* ---- facts --------------------------------------------------------------------------------------- */

size_t plan_max_rows(const Plan *plan, Grain grain) {
    const ModelSpec *spec = plan->model->spec;
    switch (grain) {
    case PER_STEP:
        return spec->max_rows;
    case PER_TARGET_STEP:
        return spec->max_target_rows;
    case PER_SEQUENCE:
        break;
    }
    return spec->max_sequences;
}
size_t plan_max_sequences(const Plan *plan) {
    return plan->model->spec->max_sequences;
}
size_t plan_max_length(const Plan *plan, Grain grain) {
    const ModelSpec *spec = plan->model->spec;
    return grain == PER_TARGET_STEP ? spec->max_target_length : spec->max_length;
}
size_t plan_seq_len(const Plan *plan) {
    return plan->model->spec->seq_len;
}
size_t plan_classes(const Plan *plan) {
    return plan->model->spec->classes;
}
bool plan_trains(const Plan *plan) {
    return plan->model->spec->trains;
}
bool plan_carries(const Plan *plan, Grain grain) {
    const ModelSpec *spec = plan->model->spec;
    return spec->carries || (grain == PER_TARGET_STEP && spec->max_beginnings > 0);
}
size_t plan_threads(const Plan *plan) {
    return plan->model->spec->threads;
}

Status plan_fail(const Layer *layer, const char *key, const char *format, ...) {
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return status_fail(ERR_USAGE, "model: %s%s%s: %s", layer->name, key ? "." : "", key ? key : "", text);
}

/* ---- names ------------------------------------------------------------------------------------------ */

/* "<layer>.<suffix>", or the layer's name alone. */
static const char *full_name(Model *model, const Layer *layer, const char *suffix) {
    size_t bytes = strlen(layer->name) + strlen(suffix) + 2;
    char *name = model_keep(model, bytes);
    if (name) snprintf(name, bytes, "%s%s%s", layer->name, *suffix ? "." : "", suffix);
    return name;
}

/* ---- values ----------------------------------------------------------------------------------------- */

/* Room for the handful of matrices of such a size that layers keep beside a value. */
enum { SIZE_MARGIN = 1024 };

static bool size_fits(size_t a, size_t b) {
    size_t count;
    return size_multiply(a, b, &count) && count <= SIZE_MAX / sizeof(double) / SIZE_MARGIN;
}

Status plan_value(Model *model, const char *name, Grain grain, size_t features, size_t layer, ValueNode **out) {
    size_t rows = plan_max_rows(&model->plan, grain);
    if (!size_fits(rows ? rows : 1, features))
        return status_fail(
            ERR_USAGE,
            "model: %s: %zu rows of %zu features overflow the address space; make the layer or the batch smaller", name,
            rows, features);
    for (size_t i = 0; i < model->values; i++)
        if (strcmp(model->value[i]->value.name, name) == 0 && layer != SIZE_MAX)
            return status_fail(ERR_USAGE, "model: two values are named '%s'; give one of their layers another name",
                               name);
    TRY(model_grow((void **)&model->value, model->values, sizeof(ValueNode *)));
    ValueNode *node = model_keep(model, sizeof *node);
    if (!node) return model->status;
    node->value = (Value){.name = name,
                          .grain = grain,
                          .features = features,
                          .source = layer == SIZE_MAX ? NULL : &model->node[layer].layer};
    node->layer = layer;
    model->value[model->values++] = *out = node;
    return OK;
}

Value *plan_output(Plan *plan, Layer *layer, const char *suffix, Grain grain, size_t features) {
    static Value nowhere; /* lets a plan run to its end after a failure */
    Model *model = plan->model;
    if (model->status != OK) return &nowhere;
    if (layer->outputs == LAYER_MAX_OUTPUTS) {
        model->status = status_fail(ERR_INTERNAL, "model: %s: more than %d outputs", layer->name, LAYER_MAX_OUTPUTS);
        return &nowhere;
    }
    const char *name = full_name(model, layer, suffix);
    ValueNode *node = NULL;
    if (name) model->status = plan_value(model, name, grain, features, model->planning, &node);
    if (!node) return &nowhere;
    layer->out[layer->outputs++] = &node->value;
    return &node->value;
}

Value *plan_sibling(const Value *value, const char *suffix) {
    const Layer *source = value->source;
    for (size_t i = 0; source && i < source->outputs; i++) {
        const char *name = source->out[i]->name;
        size_t stem = strlen(source->name);
        if (name[stem] == '.' && strcmp(name + stem + 1, suffix) == 0) return source->out[i];
    }
    return NULL;
}

Value *plan_context(const Plan *plan) {
    return plan->model->context ? &plan->model->context->value : NULL;
}

/* ---- parameters --------------------------------------------------------------------------------------- */

ParamNode *param_owner(const Param *param) {
    return (ParamNode *)(uintptr_t)(param->same_as ? param->same_as : param);
}

static Status new_param(Model *model, Layer *layer, const char *name, size_t rank, size_t dim0, size_t dim1,
                        ParamNode **out) {
    TRY(model->status);
    if (rank < 1 || rank > PARAM_MAX_RANK)
        return status_fail(ERR_INTERNAL, "model: %s.%s: rank %zu", layer->name, name, rank);
    if (rank == 1) dim1 = 1;
    if (!size_fits(dim0, dim1))
        return plan_fail(layer, NULL, "its %s of %zu x %zu overflows the address space; make the layer smaller", name,
                         dim0, dim1);
    const char *full = full_name(model, layer, name);
    if (!full) return model->status;
    for (size_t i = 0; i < model->params; i++)
        if (strcmp(model->param[i]->param.name, full) == 0)
            return plan_fail(layer, "name", "two parameters would be named '%s'; give the layer another name", full);
    TRY(model_grow((void **)&model->param, model->params, sizeof(ParamNode *)));
    ParamNode *node = model_keep(model, sizeof *node);
    if (!node) return model->status;
    node->param = (Param){.name = full,
                          .rank = rank,
                          .dim = {dim0, dim1},
                          .count = dim0 * dim1,
                          .frozen = layer->frozen,
                          .rows = {.limit = {NAN, 2}, .padding = SIZE_MAX}};
    node->index = model->params;
    model->param[model->params++] = *out = node;
    return OK;
}

Status plan_param(Plan *plan, Layer *layer, Param **out, const char *name, Init init, size_t rank, size_t dim0,
                  size_t dim1) {
    ParamNode *node;
    TRY(new_param(plan->model, layer, name, rank, dim0, dim1, &node));
    node->param.init = init;
    *out = &node->param;
    return OK;
}

Status plan_tied(Plan *plan, Layer *layer, Param **out, const char *name, const char *other, size_t dim0, size_t dim1) {
    Model *model = plan->model;
    Param *owner = NULL;
    for (size_t i = 0; i < model->params; i++)
        if (strcmp(model->param[i]->param.name, other) == 0) owner = &param_owner(&model->param[i]->param)->param;
    if (!owner)
        return plan_fail(layer, "tie",
                         "there is no parameter '%s' above this layer; name a layer further up that has a weight",
                         other);
    if (owner->rank != 2 || owner->dim[0] != dim0 || owner->dim[1] != dim1)
        return plan_fail(layer, "tie",
                         "'%s' is %zu x %zu, but this layer needs %zu x %zu; make the sizes equal or leave out `tie`",
                         other, owner->dim[0], owner->dim[1], dim0, dim1);
    if (layer->frozen && !owner->frozen)
        return plan_fail(layer, "frozen", "it shares '%s' with a layer that is not frozen; freeze both or neither",
                         other);
    if (owner->rows.sparse || !isnan(owner->rows.limit.limit))
        return plan_fail(layer, "tie",
                         "'%s' has %s, which acts on the rows that ids look up, but this layer uses them all; leave "
                         "out one of the two",
                         other, owner->rows.sparse ? "sparse" : "max_norm");
    ParamNode *node;
    TRY(new_param(model, layer, name, 2, dim0, dim1, &node));
    node->param.same_as = owner;
    node->param.frozen = owner->frozen;
    node->param.init = owner->init;
    *out = &node->param;
    return OK;
}

Status plan_row_rules(Plan *plan, Param *param, const Value *ids, RowRules rules, bool counted) {
    Model *model = plan->model;
    TRY(model->status);
    ParamNode *node = param_owner(param);
    if (node->ids || param->rank != 2) return status_fail(ERR_INTERNAL, "model: %s: rules of rows", param->name);
    param->rows = rules;
    if (param->frozen) return OK;
    node->ids = ids;
    node->counted = counted || rules.sparse || !isnan(rules.limit.limit);
    return OK;
}

/* Counting costs a pass over a counter for each row and a word with all ranks, whatever the width of the rows; what
 * it saves goes with the floats of rows that the batch cannot or hardly touch. */
static bool counting_pays(const ModelSpec *spec, const ParamNode *node) {
    enum { LEAST_WIDTH = 16, LEAST_FLOATS = 1 << 18, MOST_IDS_PER_ROW = 4 };
    size_t ids = node->ids->grain == PER_TARGET_STEP ? spec->batch_target_rows : spec->batch_rows;
    return ids > 0 && ids / MOST_IDS_PER_ROW <= node->param.dim[0] && node->param.dim[1] >= LEAST_WIDTH &&
           node->param.count >= LEAST_FLOATS;
}

/* No other layer has a gradient for its rows. */
static bool is_alone(const Model *model, const ParamNode *node) {
    for (size_t i = 0; i < model->params; i++)
        if (model->param[i]->param.same_as == &node->param) return false;
    return node->expected == 1;
}

Status plan_counts(Model *model) {
    for (size_t i = 0; i < model->params; i++) {
        ParamNode *node = model->param[i];
        if (!node->ids) continue;
        node->alone = is_alone(model, node);
        if (!node->counted && !(node->alone && counting_pays(model->spec, node))) {
            node->ids = NULL;
            continue;
        }
        node->first_count = model->counted_rows;
        if (model->counted_rows > SIZE_MAX / sizeof(uint32_t) - node->param.dim[0])
            return status_fail(ERR_USAGE, "model: %s: its rows overflow the address space; make it smaller",
                               node->param.name);
        model->counted_rows += node->param.dim[0];
    }
    if (model->spec->trains)
        arena_book(model->index, &model->own_counts, model->counted_rows * sizeof *model->own_counts);
    return OK;
}

Status plan_packed(Plan *plan, Packed *out, Param *param, PackForm form, Interleave gates) {
    Model *model = plan->model;
    TRY(model->status);
    if (param->rank != 2 || gates.gates * gates.units != param->dim[0])
        return status_fail(ERR_INTERNAL, "model: %s: packed as %zu gates of %zu", param->name, gates.gates,
                           gates.units);
    size_t gate_dim = gates.gates > 1 ? interleaved(gates) : gates.units;
    *out = (Packed){.param = param,
                    .form = form,
                    .gates = gates,
                    .k = form == PACK_TRANSPOSED ? param->dim[1] : gate_dim,
                    .n = form == PACK_TRANSPOSED ? gate_dim : param->dim[1],
                    .offset = model->memory.packed};
    size_t count;
    if (!size_multiply(out->k, panel_round(out->n), &count) || count > SIZE_MAX / sizeof(double) - model->memory.packed)
        return status_fail(ERR_USAGE,
                           "model: the packed weights overflow the address space at %s; make the layers smaller",
                           param->name);
    TRY(model_grow((void **)&model->packed, model->packs, sizeof(Packed *)));
    model->packed[model->packs++] = out;
    model->memory.packed += (count + 15) / 16 * 16;
    return OK;
}

/* ---- memory -------------------------------------------------------------------------------------------- */

/* SIZE_MAX makes the arena's commit fail with its own message. */
static size_t bytes_of(size_t count, size_t element) {
    size_t bytes;
    return size_multiply(count, element, &bytes) ? bytes : SIZE_MAX;
}

static bool recomputes(const Model *model) {
    return model->spec->trains && model->spec->layer[model->planning].recompute;
}

bool plan_recomputes_parts(Plan *plan) {
    Model *model = plan->model;
    model->node[model->planning].parts = recomputes(model);
    return recomputes(model);
}

static void save(Plan *plan, void *slot, size_t count, bool lasts) {
    Model *model = plan->model;
    if (model->status != OK) return;
    if (!size_fits(count, 1)) {
        model->status =
            plan_fail(&model->node[model->planning].layer, NULL,
                      "%zu saved numbers overflow the address space; make the layer or the batch smaller", count);
        return;
    }
    model->status = memory_piece(
        model, (Piece){.slot = slot, .bytes = count * sizeof(real), .layer = model->planning, .lasts = lasts});
}

void plan_saved(Plan *plan, void *slot, size_t count) {
    Model *model = plan->model;
    LayerNode *node = &model->node[model->planning];
    node->remade = recomputes(model) && !node->parts;
    if (node->remade) plan_tmp(plan, slot, count);
    else save(plan, slot, count, false);
}

void plan_lasting(Plan *plan, void *slot, size_t count) {
    save(plan, slot, count, true);
}

void plan_tmp(Plan *plan, void *slot, size_t count) {
    arena_book(plan->model->tmp, slot, bytes_of(count, sizeof(real)));
}

static void book_state(Model *model, StateSlot slot, size_t sequences) {
    size_t count;
    if (model->status != OK) return;
    if (!size_multiply(slot.count, sequences, &count)) count = SIZE_MAX;
    slot.layer = model->planning;
    model->status = model_grow((void **)&model->slot, model->slots, sizeof *model->slot);
    if (model->status != OK) return;
    model->slot[model->slots++] = slot;
    arena_book(model->state, slot.at, bytes_of(count, sizeof(real)));
}

void plan_state(Plan *plan, void *slot, size_t count_per_sequence) {
    book_state(plan->model, (StateSlot){.at = slot, .count = count_per_sequence}, plan_max_sequences(plan));
}

void plan_past(Plan *plan, void *slot, Grain grain, size_t count_per_step) {
    const ModelSpec *spec = plan->model->spec;
    size_t count;
    if (!size_multiply(plan_max_length(plan, grain), count_per_step, &count)) count = SIZE_MAX;
    book_state(plan->model, (StateSlot){.at = slot, .count = count, .step = count_per_step},
               spec->carries ? spec->max_sequences : spec->max_beginnings);
}

void plan_index(Plan *plan, void *slot, size_t count) {
    arena_book(plan->model->index, slot, bytes_of(count, sizeof(size_t)));
}

void plan_kept(Plan *plan, void *slot, size_t count) {
    arena_book(plan->model->index, slot, bytes_of(count, sizeof(real)));
}
