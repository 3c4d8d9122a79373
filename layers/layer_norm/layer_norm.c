/* SPDX-License-Identifier: MIT
 *
 * layer_norm.c: every row to mean 0 and variance 1, then scaled and shifted (Ba et al. 2016).
 *
 *   forward    n  = (x - mean(x)) / sqrt(var(x) + eps)                       (1)
 *              y  = n * weight + bias
 *   backward   dn = dy * weight
 *              dx = (dn - mean(dn) - n * mean(dn * n)) / sqrt(var(x) + eps)  (2)
 *              dweight = sum over rows dy * n                                (3)
 *              dbias   = sum over rows dy                                    (4)
 *
 *   x, y [R, F]   weight, bias [F] */
#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef struct LayerNormConfig {
    double eps;
    bool elementwise_affine, bias;
} LayerNormConfig;

static const Key keys[] = {
    {"eps", KEY_REAL, offsetof(LayerNormConfig, eps), "1e-5", 0, 1, NULL, false, "added to the variance"},
    {"elementwise_affine", KEY_BOOL, offsetof(LayerNormConfig, elementwise_affine), "true", 0, 0, NULL, false,
     "learn a scale (and a shift) for every feature"},
    {"bias", KEY_BOOL, offsetof(LayerNormConfig, bias), "true", 0, 0, NULL, false, "learn the shift too"},
    {0},
};

typedef struct LayerNorm {
    Param *weight, *bias;
    struct {
        real *mean, *rstd; /* [R] */
    } saved;
} LayerNorm;

static Status layer_norm_plan(Layer *layer, Plan *plan) {
    const LayerNormConfig *config = layer->config;
    LayerNorm *self = layer->self;
    const Value *in = layer->in[0];
    size_t rows = plan_max_rows(plan, in->grain);
    plan_output(plan, layer, "", in->grain, in->features);
    if (config->elementwise_affine) {
        TRY(plan_param(plan, layer, &self->weight, "weight", (Init){.kind = INIT_ONE}, 1, in->features, 1));
        if (config->bias)
            TRY(plan_param(plan, layer, &self->bias, "bias", (Init){.kind = INIT_ZERO}, 1, in->features, 1));
    }
    plan_saved(plan, &self->saved.mean, rows);
    plan_saved(plan, &self->saved.rstd, rows);
    return OK;
}

static const real *values_of(const Param *param) {
    return param ? param->v : NULL;
}

static void layer_norm_forward(Layer *layer, const Pass *pass) {
    const LayerNormConfig *config = layer->config;
    const LayerNorm *self = layer->self;
    const Value *in = layer->in[0], *out = layer->out[0];
    if (!out->v) return;
    op_layer_norm(rows_of(&pass->rows, in->grain), in->features, (real)config->eps, in->v, values_of(self->weight),
                  values_of(self->bias), out->v, self->saved.mean, self->saved.rstd); /* (1) */
}

static void sums(const Layer *layer, const Pass *pass, size_t s, real *dweight, real *dbias) {
    const LayerNorm *self = layer->self;
    const Value *in = layer->in[0];
    size_t first = shard_row(&pass->rows, in->grain, s), end = shard_row(&pass->rows, in->grain, s + 1),
           F = in->features;
    op_layer_norm_gradients(end - first, F, in->v + first * F, self->saved.mean + first, self->saved.rstd + first,
                            layer->out[0]->g + first * F, dweight, dbias);
}

static void weight_leaf(void *context, const Pass *pass, size_t s, real *dweight) {
    sums(context, pass, s, dweight, NULL); /* (3) */
}
static void bias_leaf(void *context, const Pass *pass, size_t s, real *dbias) {
    sums(context, pass, s, NULL, dbias); /* (4) */
}

static void layer_norm_backward(Layer *layer, const Pass *pass) {
    const LayerNorm *self = layer->self;
    const Value *in = layer->in[0];
    if (in->g)
        op_layer_norm_backward(rows_of(&pass->rows, in->grain), in->features, in->v, values_of(self->weight),
                               self->saved.mean, self->saved.rstd, layer->out[0]->g, in->g, false); /* (2) */
    if (self->weight) grad_shards(pass, self->weight, weight_leaf, layer);
    if (self->bias) grad_shards(pass, self->bias, bias_leaf, layer);
}

static const LayerCase cases[] = {
    {"7 features", &(LayerNormConfig){1e-5, true, true}, 7, 0},
    {"17 features without bias", &(LayerNormConfig){1e-5, true, false}, 17, 0},
    {"5 features, nothing learned", &(LayerNormConfig){1e-2, false, true}, 5, 0},
    {0},
};

const LayerType layer_layer_norm = {
    .kind = "layer_norm",
    .summary = "every row to mean 0 and variance 1, then scaled and shifted",
    .keys = keys,
    .shorthand = NULL,
    .config_size = sizeof(LayerNormConfig),
    .self_size = sizeof(LayerNorm),
    .max_inputs = 1,
    .reads = READS_IN,
    .plan = layer_norm_plan,
    .forward = layer_norm_forward,
    .backward = layer_norm_backward,
    .cases = cases,
};
