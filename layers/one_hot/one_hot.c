/* SPDX-License-Identifier: MIT
 *
 * one_hot.c: y[r] is zero but for a one in column ids[r]. Nothing to learn and no gradient.
 *
 *   ids [R]   y [R, V] */
#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef struct OneHotConfig {
    size_t num_classes;
} OneHotConfig;

static const Key keys[] = {
    {"num_classes", KEY_SIZE, offsetof(OneHotConfig, num_classes), "null", 1, 1e9, NULL, true,
     "columns; null: the data's vocabulary"},
    {0},
};

static Status one_hot_plan(Layer *layer, Plan *plan) {
    const OneHotConfig *config = layer->config;
    const Value *in = layer->in[0];
    size_t V = config->num_classes == KEY_NULL_SIZE ? in->vocabulary : config->num_classes;
    if (V < in->vocabulary)
        return plan_fail(layer, "num_classes",
                         "%zu columns for the data's vocabulary of %zu ids; leave the key out or make it at least %zu",
                         V, in->vocabulary, in->vocabulary);
    plan_output(plan, layer, "", in->grain, V);
    return OK;
}

static void one_hot_forward(Layer *layer, const Pass *pass) {
    const Value *out = layer->out[0];
    const int32_t *ids = layer->in[0]->ids;
    if (out->v) op_one_hot(rows_of(&pass->rows, out->grain), ids, out->features, out->v);
}

static void one_hot_backward(Layer *layer, const Pass *pass) {
    (void)layer;
    (void)pass;
}

static const LayerCase cases[] = {
    {"7 ids", &(OneHotConfig){KEY_NULL_SIZE}, 0, 7},
    {"more columns than ids", &(OneHotConfig){9}, 0, 5},
    {0},
};

const LayerType layer_one_hot = {
    .kind = "one_hot",
    .summary = "a column of its own for every id",
    .keys = keys,
    .shorthand = NULL,
    .config_size = sizeof(OneHotConfig),
    .max_inputs = 1,
    .ids = true,
    .plan = one_hot_plan,
    .forward = one_hot_forward,
    .backward = one_hot_backward,
    .cases = cases,
};
