/* SPDX-License-Identifier: MIT
 *
 * select.c: one row per sequence out of its rows x[0] ... x[T-1].
 *
 *   last    y = x[T-1]
 *   first   y = x[0]
 *   mean    y = sum of x[t] / T
 *   max     y = max of x[t], feature by feature; the first of equals gets the gradient
 *   final   y = the last F columns of h_n of the layer above: its top layer's last states, the
 *           directions side by side
 *
 *   x [R, F]   h_n [B, >= F]   y [B, F] */
#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef enum Kind { LAST, FIRST, MEAN, MAX, FINAL } Kind;

static const Pick picks[] = {[LAST] = PICK_LAST, [FIRST] = PICK_FIRST, [MEAN] = PICK_MEAN, [MAX] = PICK_MAX};

typedef struct SelectConfig {
    int kind; /* Kind */
} SelectConfig;

static const Key keys[] = {
    {"kind", KEY_CHOICE, offsetof(SelectConfig, kind), "last", 0, 0, "last|first|mean|max|final", false,
     "which row of a sequence, or what of all; final: the last hidden state of the layer above"},
    {0},
};

typedef struct Select {
    size_t *row; /* max: [B, F] the row each feature came from */
} Select;

static Status select_plan(Layer *layer, Plan *plan) {
    const SelectConfig *config = layer->config;
    Select *self = layer->self;
    const Value *in = layer->in[0];
    size_t F = in->features;
    if (in->grain == PER_SEQUENCE)
        return plan_fail(layer, "input", "'%s' has one row per sequence already; leave the layer out", in->name);
    if (config->kind == FINAL) {
        layer->in[0] = plan_sibling(in, "h_n");
        if (!layer->in[0])
            return plan_fail(layer, "kind",
                             "'%s' has no final state; final reads an rnn, a gru or an lstm, use last elsewhere",
                             in->name);
        if (layer->in[0]->features < F)
            return plan_fail(layer, "kind", "'%s' has %zu columns, fewer than the %zu of '%s'; use last",
                             layer->in[0]->name, layer->in[0]->features, F, in->name);
    }
    plan_output(plan, layer, "", PER_SEQUENCE, F);
    if (config->kind == MAX) plan_index(plan, &self->row, plan_max_sequences(plan) * F);
    return OK;
}

static void select_forward(Layer *layer, const Pass *pass) {
    const SelectConfig *config = layer->config;
    const Select *self = layer->self;
    const Value *in = layer->in[0], *out = layer->out[0];
    const Rows *rows = &pass->rows;
    if (!out->v) return;
    if (config->kind == FINAL) op_last_columns(rows->sequences, in->features, out->features, in->v, out->v);
    else
        op_pick(picks[config->kind], rows->sequences, rows_offset(rows, in->grain), out->features, in->v, out->v,
                self->row);
}

static void select_backward(Layer *layer, const Pass *pass) {
    const SelectConfig *config = layer->config;
    const Select *self = layer->self;
    const Value *in = layer->in[0], *out = layer->out[0];
    const Rows *rows = &pass->rows;
    if (!in->g) return;
    if (config->kind == FINAL) op_last_columns_backward(rows->sequences, in->features, out->features, out->g, in->g);
    else
        op_pick_backward(picks[config->kind], rows->sequences, rows_offset(rows, in->grain), out->features, out->g,
                         self->row, in->g);
}

/* All rows of a sequence make one. */
static const char *select_looks_ahead(const void *config, size_t inputs, size_t i) {
    (void)config, (void)inputs, (void)i;
    return "";
}

static const LayerCase cases[] = {
    {"last", &(SelectConfig){LAST}, 7, 0},
    {"first", &(SelectConfig){FIRST}, 17, 0},
    {"mean", &(SelectConfig){MEAN}, 5, 0},
    {"max", &(SelectConfig){MAX}, 3, 0},
    {0},
};

const LayerType layer_select = {
    .kind = "select",
    .summary = "one row per sequence: its last, first, mean, max, or the final state of the layer above",
    .keys = keys,
    .shorthand = "kind",
    .config_size = sizeof(SelectConfig),
    .self_size = sizeof(Select),
    .max_inputs = 1,
    .looks_ahead = select_looks_ahead,
    .plan = select_plan,
    .forward = select_forward,
    .backward = select_backward,
    .cases = cases,
};
