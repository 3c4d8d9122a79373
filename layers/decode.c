/* SPDX-License-Identifier: MIT
 *
 * decode.c: a decoder step by step. What has state gathers its rows as beginnings branch and end; so do values
 * with a row per source that the decoder reads, which so become rows per beginning. Attention reads an encoder's
 * rows where they are, all beginnings of a source the same. */
#include <string.h>

#include "layers/model_parts.h"

static ValueNode *node_of(const Value *value) {
    return (ValueNode *)(uintptr_t)value;
}

/* ---- plan ---------------------------------------------------------------------------------------------- */

/* Does the layer wait for steps of the target that are yet to come? */
static Status check_layer(const Layer *layer) {
    for (size_t i = 0; i < layer->inputs; i++) {
        ValueNode *in = node_of(layer->in[i]);
        in->branches |= !in->decoded && in->value.grain == PER_SEQUENCE;
        if (!in->decoded) continue;
        if (in->value.grain != PER_TARGET_STEP)
            return plan_fail(layer, "input",
                             "'%s' is made of all steps of the target, of which a decoder knows only those that it has "
                             "written; read one that has a row per step",
                             in->value.name);
        const char *key = layer->type->looks_ahead ? layer->type->looks_ahead(layer->config, layer->inputs, i) : NULL;
        if (key)
            return plan_fail(layer, *key ? key : NULL,
                             "it looks at steps of '%s' that a decoder is yet to write; let it read the encoder",
                             in->value.name);
    }
    return OK;
}

Status decode_plan(Model *model) {
    const size_t most = model->spec->max_beginnings;
    if (most == 0) return OK;
    for (size_t l = 0; l < model->layers; l++)
        if (model->node[l].decodes) TRY(check_layer(&model->node[l].layer));
    if (most > SIZE_MAX / sizeof(double) / GATHER_COLUMNS)
        return status_fail(ERR_USAGE, "model: %zu beginnings overflow the address space; use fewer", most);
    arena_book(model->index, &model->gathered, most * GATHER_COLUMNS * sizeof(real));
    arena_book(model->index, &model->unit, (most + 1) * sizeof *model->unit);
    if (model->context && model->context->branches)
        arena_book(model->index, &model->branch_context, most * model->context->value.features * sizeof(real));
    return OK;
}

/* ---- steps --------------------------------------------------------------------------------------------- */

static void gather(const Model *model, const DecodeStep *step, size_t features, real *x, size_t ldx) {
    op_gather_rows(step->beginnings, step->from, features, x, ldx, model->gathered);
}

static bool stays(const DecodeStep *step) {
    for (size_t r = 0; r < step->beginnings; r++)
        if (step->from[r] != r) return false;
    return true;
}

/* Everything that belongs to a beginning follows it. */
static void follow(Model *model, const DecodeStep *step) {
    if (stays(step)) return;
    for (size_t i = 0; i < model->slots; i++) {
        const StateSlot *slot = &model->slot[i];
        if (!model->node[slot->layer].decodes) continue;
        gather(model, step, slot->step ? model->decoded * slot->step : slot->count, *(real **)slot->at, slot->count);
    }
    for (size_t i = 0; i < model->values; i++) {
        const Value *value = &model->value[i]->value;
        if (model->value[i]->branches && value->source) gather(model, step, value->features, value->v, value->features);
    }
    if (model->branch_context) {
        size_t features = model->context->value.features;
        gather(model, step, features, model->branch_context, features);
    }
}

static void start(Model *model, const Batch *batch, const DecodeStep *step) {
    model_reset_state(model);
    model->decoded = 0;
    for (size_t b = 0; b <= model->spec->max_beginnings; b++) model->unit[b] = b;
    if (model->branch_context)
        memcpy(model->branch_context, batch->context, step->beginnings * model->context->value.features * sizeof(real));
}

const Value *model_decode(Model *model, const Batch *batch, const DecodeStep *step) {
    Batch next = *batch;
    if (step->from) follow(model, step);
    else start(model, batch, step);
    next.rows.sources = batch->rows.sequences;
    next.rows.branch = step->first;
    next.rows.sequences = step->beginnings;
    next.rows.target_offset = model->unit;
    next.rows.target_longest = 1;
    next.target_ids = step->id;
    if (model->branch_context) next.context = model->branch_context;
    const Pass pass = {.rows = next.rows, .carry_state = true, .decodes = true, .sink = &model->sink};
    model->decoded++;
    return pass_forward(model, &pass, &next);
}
