/* SPDX-License-Identifier: MIT
 *
 * dropout.c: in training, zeroes elements with probability p and scales the rest by 1 / (1 - p); else
 * gives what it gets. The mask m is a function of what names an element, so backward makes it again.
 *
 *   forward    y  = m x      (1)
 *   backward   dx = m dy     (2)
 *
 *   x, y [R, F] */
#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef struct DropoutConfig {
    double p;
} DropoutConfig;

static const Key keys[] = {
    {"p", KEY_REAL, offsetof(DropoutConfig, p), "0.5", 0, 1, NULL, false, "probability of a zero"},
    {0},
};

typedef struct Dropout {
    size_t *offset; /* [B + 1] of rows that are whole sequences */
} Dropout;

static Status dropout_plan(Layer *layer, Plan *plan) {
    Dropout *self = layer->self;
    const Value *in = layer->in[0];
    plan_output(plan, layer, "", in->grain, in->features);
    if (in->grain == PER_SEQUENCE) plan_index(plan, &self->offset, plan_max_sequences(plan) + 1);
    return OK;
}

static void apply_mask(const Layer *layer, const Pass *pass, const real *from, real *to) {
    const DropoutConfig *config = layer->config;
    const Dropout *self = layer->self;
    const Value *in = layer->in[0];
    size_t F = in->features, count = rows_of(&pass->rows, in->grain) * F;
    if (!pass->training || config->p == 0) {
        op_copy(count, from, to);
        return;
    }
    if (config->p == 1) {
        op_zero(count, to);
        return;
    }
    const size_t *offset = in->grain == PER_SEQUENCE ? self->offset : rows_offset(&pass->rows, in->grain);
    for (size_t b = 0; in->grain == PER_SEQUENCE && b <= pass->rows.sequences; b++) self->offset[b] = b;
    const DropoutKey key = {pass->seed, pass->step, layer->key, 0};
    op_dropout(key, (real)config->p, pass->rows.sequences, offset, pass->rows.position, F, from, F, to, F);
}

static void dropout_forward(Layer *layer, const Pass *pass) {
    if (layer->out[0]->v) apply_mask(layer, pass, layer->in[0]->v, layer->out[0]->v); /* (1) */
}

static void dropout_backward(Layer *layer, const Pass *pass) {
    if (layer->in[0]->g) apply_mask(layer, pass, layer->out[0]->g, layer->in[0]->g); /* (2) */
}

static const LayerCase cases[] = {
    {"half", &(DropoutConfig){0.5}, 7, 0},
    {"a tenth", &(DropoutConfig){0.1}, 17, 0},
    {"nothing", &(DropoutConfig){0}, 3, 0},
    {0},
};

const LayerType layer_dropout = {
    .kind = "dropout",
    .summary = "random zeros while training",
    .keys = keys,
    .shorthand = "p",
    .config_size = sizeof(DropoutConfig),
    .self_size = sizeof(Dropout),
    .max_inputs = 1,
    .plan = dropout_plan,
    .forward = dropout_forward,
    .backward = dropout_backward,
    .cases = cases,
};
