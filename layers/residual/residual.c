/* SPDX-License-Identifier: MIT
 *
 * residual.c: the addition at the end of a residual branch (He et al. 2015).
 *
 *   forward    y  = x + f                (1)
 *   backward   dx = dy,  df = dy         (2)
 *
 *   x, f, y [R, F]: f is what the branch made of x
 *
 * In a config, `residual: [layers]` is a group: its layers are the branch, and this layer, which bears the
 * group's name, comes after them and reads the group's input and the last of them. */
#include "layers/layer.h"
#include "layers/ops/ops.h"

static const Key keys[] = {{0}};

static Status residual_plan(Layer *layer, Plan *plan) {
    const Value *x = layer->in[0], *f = layer->in[1];
    if (x->grain != f->grain)
        return plan_fail(layer, NULL,
                         "its input '%s' and its last layer '%s' have different rows and cannot be added; leave out "
                         "what changes them between the two",
                         x->name, f->name);
    if (x->features != f->features)
        return plan_fail(layer, NULL,
                         "its input '%s' has %zu features, its last layer '%s' %zu; they are added, so make them equal",
                         x->name, x->features, f->name, f->features);
    plan_output(plan, layer, "", x->grain, x->features);
    return OK;
}

static void residual_forward(Layer *layer, const Pass *pass) {
    const Value *x = layer->in[0], *f = layer->in[1], *y = layer->out[0];
    const size_t count = rows_of(&pass->rows, x->grain) * x->features;
    if (!y->v) return;
    op_copy(count, x->v, y->v);
    op_add(count, f->v, y->v); /* (1) */
}

static void residual_backward(Layer *layer, const Pass *pass) {
    const Value *y = layer->out[0];
    const size_t count = rows_of(&pass->rows, y->grain) * y->features;
    for (size_t i = 0; i < 2; i++)
        if (layer->in[i]->g) op_copy(count, y->g, layer->in[i]->g); /* (2) */
}

static const LayerCase cases[] = {
    {"twice the same", NULL, 7, 0},
    {0},
};

const LayerType layer_residual = {
    .kind = "residual",
    .summary = "a group of layers whose input is added to what they make of it",
    .keys = keys,
    .min_inputs = 2,
    .max_inputs = 2,
    .plan = residual_plan,
    .forward = residual_forward,
    .backward = residual_backward,
    .cases = cases,
};
