/* SPDX-License-Identifier: MIT
 *
 * concat.c: the features of several values side by side.
 *
 *   forward    y[r] = x_1[r], x_2[r], ...                                        (1)
 *   backward   dx_i[r] = the columns of dy[r] that x_i filled                    (2)
 *
 *   x_i [R, F_i]   y [R, F_1 + F_2 + ...]
 *
 * Beside values with a row per step, a value with a row per sequence stands in every row of its sequence, and
 * its gradient is the sum over them. */
#include "layers/layer.h"
#include "layers/ops/ops.h"

static const Key keys[] = {{0}};

static Status concat_plan(Layer *layer, Plan *plan) {
    Grain grain = PER_SEQUENCE;
    const Value *steps = NULL;
    size_t features = 0;
    for (size_t i = 0; i < layer->inputs; i++) {
        const Value *in = layer->in[i];
        if (in->features > SIZE_MAX - features)
            return plan_fail(layer, NULL, "the features of its inputs overflow; make the layers smaller");
        features += in->features;
        if (!grain_has_time(in->grain)) continue;
        if (steps && in->grain != grain)
            return plan_fail(
                layer, "input",
                "'%s' has a row for every step of the input, '%s' of the decoder; attention brings the two "
                "together",
                grain == PER_STEP ? steps->name : in->name, grain == PER_STEP ? in->name : steps->name);
        steps = in;
        grain = in->grain;
    }
    plan_output(plan, layer, "", grain, features);
    return OK;
}

static void concat_forward(Layer *layer, const Pass *pass) {
    const Rows *rows = &pass->rows;
    const Value *out = layer->out[0];
    real *y = out->v;
    if (!y) return;
    for (size_t i = 0; i < layer->inputs; i++) { /* (1) */
        const Value *in = layer->in[i];
        if (in->grain == out->grain)
            op_copy_columns(rows_of(rows, in->grain), in->features, in->v, in->features, y, out->features);
        else op_repeat_rows(rows->sequences, rows_offset(rows, out->grain), in->features, in->v, y, out->features);
        y += in->features;
    }
}

static void concat_backward(Layer *layer, const Pass *pass) {
    const Rows *rows = &pass->rows;
    const Value *out = layer->out[0];
    const real *dy = out->g;
    for (size_t i = 0; i < layer->inputs; i++) { /* (2) */
        const Value *in = layer->in[i];
        if (in->g && in->grain == out->grain)
            op_copy_columns(rows_of(rows, in->grain), in->features, dy, out->features, in->g, in->features);
        else if (in->g)
            op_sum_rows(rows->sequences, rows_offset(rows, out->grain), in->features, dy, out->features, in->g);
        dy += in->features;
    }
}

static const LayerCase cases[] = {
    {"twice the same, 5 features", NULL, 5, 0},
    {"twice the same, 17 features", NULL, 17, 0},
    {0},
};

const LayerType layer_concat = {
    .kind = "concat",
    .summary = "the features of several values side by side, named in `input`",
    .keys = keys,
    .min_inputs = 2,
    .max_inputs = LAYER_MAX_INPUTS,
    .plan = concat_plan,
    .forward = concat_forward,
    .backward = concat_backward,
    .cases = cases,
};
