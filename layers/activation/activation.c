/* SPDX-License-Identifier: MIT
 *
 * activation.c: a function of every element.
 *
 *   forward    y  = f(x)           (1)
 *   backward   dx = dy f'(x)       (2)
 *
 *   x, y [R, F] */
#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef struct ActivationConfig {
    int kind; /* Activation */
} ActivationConfig;

static const Key keys[] = {
    {"kind", KEY_CHOICE, offsetof(ActivationConfig, kind), "relu", 0, 0, "relu|gelu|gelu_tanh|tanh|sigmoid", false,
     "the function; gelu_tanh is GPT-2's approximation"},
    {0},
};

static Status activation_plan(Layer *layer, Plan *plan) {
    plan_output(plan, layer, "", layer->in[0]->grain, layer->in[0]->features);
    return OK;
}

static size_t elements(const Layer *layer, const Pass *pass) {
    return rows_of(&pass->rows, layer->in[0]->grain) * layer->in[0]->features;
}

static void activation_forward(Layer *layer, const Pass *pass) {
    const ActivationConfig *config = layer->config;
    const real *x = layer->in[0]->v;
    real *y = layer->out[0]->v;
    if (y) op_activation((Activation)config->kind, elements(layer, pass), x, y); /* (1) */
}

static void activation_backward(Layer *layer, const Pass *pass) {
    const ActivationConfig *config = layer->config;
    const real *x = layer->in[0]->v, *dy = layer->out[0]->g;
    real *dx = layer->in[0]->g;
    if (dx) op_activation_backward((Activation)config->kind, elements(layer, pass), x, dy, dx); /* (2) */
}

static const LayerCase cases[] = {
    {"relu", &(ActivationConfig){ACT_RELU}, 7, 0},           {"gelu", &(ActivationConfig){ACT_GELU}, 17, 0},
    {"gelu_tanh", &(ActivationConfig){ACT_GELU_TANH}, 5, 0}, {"tanh", &(ActivationConfig){ACT_TANH}, 1, 0},
    {"sigmoid", &(ActivationConfig){ACT_SIGMOID}, 3, 0},     {0},
};

const LayerType layer_activation = {
    .kind = "activation",
    .summary = "relu, gelu, tanh or sigmoid of every element",
    .keys = keys,
    .shorthand = "kind",
    .config_size = sizeof(ActivationConfig),
    .max_inputs = 1,
    .reads = READS_IN,
    .plan = activation_plan,
    .forward = activation_forward,
    .backward = activation_backward,
    .cases = cases,
};
