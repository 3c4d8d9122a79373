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
#include <string.h>

#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef enum Kind { LAST, FIRST, MEAN, MAX, FINAL } Kind;

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

/* ---- forward -------------------------------------------------------------------------------------- */

/* A sequence's rows, [first, first + T). */
typedef struct Span {
    size_t first, T;
} Span;

static Span span_of(const Pass *pass, Grain grain, size_t b) {
    const size_t first = sequence_row(&pass->rows, grain, b);
    return (Span){first, sequence_row(&pass->rows, grain, b + 1) - first};
}

static void mean_rows(const real *x, Span span, size_t F, real *y) {
    memset(y, 0, F * sizeof *y);
    for (size_t t = 0; t < span.T; t++)
        for (size_t f = 0; f < F; f++) y[f] += x[(span.first + t) * F + f];
    for (size_t f = 0; f < F; f++) y[f] /= (real)span.T;
}

static void max_rows(const real *x, Span span, size_t F, real *y, size_t *row) {
    memcpy(y, x + span.first * F, F * sizeof *y);
    for (size_t f = 0; f < F; f++) row[f] = span.first;
    for (size_t r = span.first + 1; r < span.first + span.T; r++)
        for (size_t f = 0; f < F; f++)
            if (x[r * F + f] > y[f]) {
                y[f] = x[r * F + f];
                row[f] = r;
            }
}

static void select_forward(Layer *layer, const Pass *pass) {
    const SelectConfig *config = layer->config;
    const Select *self = layer->self;
    const Value *in = layer->in[0], *out = layer->out[0];
    size_t F = out->features;
    if (!out->v) return;
    for (size_t b = 0; b < pass->rows.sequences; b++) {
        Span span = span_of(pass, in->grain, b);
        real *y = out->v + b * F;
        switch ((Kind)config->kind) {
        case LAST:
            memcpy(y, in->v + (span.first + span.T - 1) * F, F * sizeof *y);
            break;
        case FIRST:
            memcpy(y, in->v + span.first * F, F * sizeof *y);
            break;
        case MEAN:
            mean_rows(in->v, span, F, y);
            break;
        case MAX:
            max_rows(in->v, span, F, y, self->row + b * F);
            break;
        case FINAL:
            memcpy(y, in->v + (b + 1) * in->features - F, F * sizeof *y);
            break;
        }
    }
}

/* ---- backward ------------------------------------------------------------------------------------- */

static void spread_mean(const real *dy, Span span, size_t F, real *dx) {
    for (size_t t = 0; t < span.T; t++)
        for (size_t f = 0; f < F; f++) dx[(span.first + t) * F + f] = dy[f] / (real)span.T;
}

static void select_backward(Layer *layer, const Pass *pass) {
    const SelectConfig *config = layer->config;
    const Select *self = layer->self;
    const Value *in = layer->in[0], *out = layer->out[0];
    size_t F = out->features;
    real *dx = in->g;
    if (!dx) return;
    if (config->kind != MEAN) op_zero(rows_of(&pass->rows, in->grain) * in->features, dx);
    for (size_t b = 0; b < pass->rows.sequences; b++) {
        Span span = span_of(pass, in->grain, b);
        const real *dy = out->g + b * F;
        switch ((Kind)config->kind) {
        case LAST:
            memcpy(dx + (span.first + span.T - 1) * F, dy, F * sizeof *dy);
            break;
        case FIRST:
            memcpy(dx + span.first * F, dy, F * sizeof *dy);
            break;
        case MEAN:
            spread_mean(dy, span, F, dx);
            break;
        case MAX:
            for (size_t f = 0; f < F; f++) dx[self->row[b * F + f] * F + f] = dy[f];
            break;
        case FINAL:
            memcpy(dx + (b + 1) * in->features - F, dy, F * sizeof *dy);
            break;
        }
    }
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
    .plan = select_plan,
    .forward = select_forward,
    .backward = select_backward,
    .cases = cases,
};
