/* SPDX-License-Identifier: MIT
 *
 * linear.c: y = x W^T + b, row by row.
 *
 *   forward    y  = x W^T + b              (1)
 *   backward   dx = dy W                   (2)
 *              dW = sum over rows dy^T x   (3)
 *              db = sum over rows dy       (4)
 *
 *   x [R, I]   y [R, O]   weight [O, I]   bias [O]
 *
 * As the last layer under cross entropy it works on chunks of rows, and y is never whole. */
#include <math.h>
#include <stdio.h>

#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef struct LinearConfig {
    size_t out_features;
    bool bias;
    const char *tie;
} LinearConfig;

static const Key keys[] = {
    {"out_features", KEY_SIZE, offsetof(LinearConfig, out_features), "null", 1, 1e9, NULL, true,
     "size of the output; null: the data's classes or target columns"},
    {"bias", KEY_BOOL, offsetof(LinearConfig, bias), "true", 0, 0, NULL, false, "add a learned vector"},
    {"tie", KEY_STRING, offsetof(LinearConfig, tie), "null", 0, 0, NULL, true,
     "name of a layer above whose `weight` this one shares"},
    {0},
};

typedef struct Linear {
    size_t I, O;
    Param *weight, *bias;
    Packed forward, backward; /* the weight as operand of (1) and (2) */
} Linear;

static Status plan_weight(Layer *layer, Plan *plan, Init init) {
    const LinearConfig *config = layer->config;
    Linear *self = layer->self;
    char other[512];
    if (!config->tie) return plan_param(plan, layer, &self->weight, "weight", init, 2, self->O, self->I);
    int length = snprintf(other, sizeof other, "%s.weight", config->tie);
    if (length < 0 || (size_t)length >= sizeof other)
        return plan_fail(layer, "tie", "a name of %d bytes; the longest has %zu", length, sizeof other - 1);
    return plan_tied(plan, layer, &self->weight, "weight", other, self->O, self->I);
}

static Status linear_plan(Layer *layer, Plan *plan) {
    const LinearConfig *config = layer->config;
    Linear *self = layer->self;
    self->I = layer->in[0]->features;
    self->O = config->out_features == KEY_NULL_SIZE ? plan_classes(plan) : config->out_features;
    if (self->O == 0) return plan_fail(layer, "out_features", "the data has no classes to take it from; set it");
    plan_output(plan, layer, "", layer->in[0]->grain, self->O);
    Init init = {.kind = INIT_UNIFORM, .scale = self->I ? 1 / sqrt((double)self->I) : 0, .gpt2 = true};
    TRY(plan_weight(layer, plan, init));
    if (config->bias) TRY(plan_param(plan, layer, &self->bias, "bias", init, 1, self->O, 1));
    TRY(plan_packed(plan, &self->forward, self->weight, PACK_TRANSPOSED, in_order(self->O)));
    if (!plan_trains(plan)) return OK;
    return plan_packed(plan, &self->backward, self->weight, PACK_PLAIN, in_order(self->O));
}

/* ---- row by row ---------------------------------------------------------------------------------- */

static void linear_forward_rows(Layer *layer, const Pass *pass, size_t first, size_t end, real *y) {
    const Linear *self = layer->self;
    const real *x = layer->in[0]->v + first * self->I;
    (void)pass;
    gemm(&(Gemm){.m = end - first,
                 .n = self->O,
                 .k = self->I,
                 .a = x,
                 .lda = self->I,
                 .b = self->forward.v,
                 .c = y,
                 .ldc = self->O,
                 .bias = self->bias ? self->bias->v : NULL}); /* (1) */
}

static void input_gradient(const Linear *self, size_t rows, const real *dy, real *dx) {
    gemm(&(Gemm){.m = rows,
                 .n = self->I,
                 .k = self->O,
                 .a = dy,
                 .lda = self->O,
                 .b = self->backward.v,
                 .c = dx,
                 .ldc = self->I}); /* (2) */
}

static void weight_gradient(const Linear *self, size_t rows, const real *dy, const real *x, bool add, real *dW) {
    gemm_tn(&(GemmTn){.m = self->O,
                      .n = self->I,
                      .k = rows,
                      .a = dy,
                      .lda = self->O,
                      .order = in_order(self->O),
                      .b = x,
                      .ldb = self->I,
                      .c = dW,
                      .ldc = self->I,
                      .accumulate = add}); /* (3) */
}

static void bias_gradient(const Linear *self, size_t rows, const real *dy, bool add, real *db) {
    column_sums(dy, self->O, in_order(self->O), rows, db, add); /* (4) */
}

static void linear_backward_rows(Layer *layer, const Pass *pass, size_t first, size_t end, const real *dy, real *dx,
                                 size_t shard, bool starts) {
    const Linear *self = layer->self;
    const real *x = layer->in[0]->v + first * self->I;
    real *dW = grad_rows(pass, self->weight, shard), *db = self->bias ? grad_rows(pass, self->bias, shard) : NULL;
    if (dx) input_gradient(self, end - first, dy, dx);
    if (dW) weight_gradient(self, end - first, dy, x, !starts, dW);
    if (db) bias_gradient(self, end - first, dy, !starts, db);
}

/* ---- the whole ------------------------------------------------------------------------------------- */

static void linear_forward(Layer *layer, const Pass *pass) {
    const Value *out = layer->out[0];
    if (out->v) linear_forward_rows(layer, pass, 0, rows_of(&pass->rows, out->grain), out->v);
}

static void weight_leaf(void *context, const Pass *pass, size_t s, real *dW) {
    const Layer *layer = context;
    const Linear *self = layer->self;
    const Value *in = layer->in[0], *out = layer->out[0];
    size_t first = shard_row(&pass->rows, in->grain, s), end = shard_row(&pass->rows, in->grain, s + 1);
    weight_gradient(self, end - first, out->g + first * self->O, in->v + first * self->I, false, dW);
}

static void bias_leaf(void *context, const Pass *pass, size_t s, real *db) {
    const Layer *layer = context;
    const Linear *self = layer->self;
    const Value *out = layer->out[0];
    size_t first = shard_row(&pass->rows, out->grain, s), end = shard_row(&pass->rows, out->grain, s + 1);
    bias_gradient(self, end - first, out->g + first * self->O, false, db);
}

static void linear_backward(Layer *layer, const Pass *pass) {
    const Linear *self = layer->self;
    const Value *in = layer->in[0], *out = layer->out[0];
    if (in->g) input_gradient(self, rows_of(&pass->rows, in->grain), out->g, in->g);
    grad_shards(pass, self->weight, weight_leaf, layer);
    if (self->bias) grad_shards(pass, self->bias, bias_leaf, layer);
}

static const LayerCase cases[] = {
    {"7 to 5", &(LinearConfig){5, true, NULL}, 7, 0},
    {"17 to 33 without bias", &(LinearConfig){33, false, NULL}, 17, 0},
    {"1 to 1", &(LinearConfig){1, true, NULL}, 1, 0},
    {0},
};

const LayerType layer_linear = {
    .kind = "linear",
    .summary = "y = x W^T + b for every row; the usual last layer",
    .keys = keys,
    .shorthand = "out_features",
    .config_size = sizeof(LinearConfig),
    .self_size = sizeof(Linear),
    .max_inputs = 1,
    .reads = READS_IN,
    .plan = linear_plan,
    .forward = linear_forward,
    .backward = linear_backward,
    .forward_rows = linear_forward_rows,
    .backward_rows = linear_backward_rows,
    .cases = cases,
};
