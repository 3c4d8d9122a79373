/* SPDX-License-Identifier: MIT
 *
 * channel_attention.c: every channel looks at all time steps in its own way.
 *
 *   forward    s_t = W x_t + b                                                        (1)
 *              w[t, i] = e^(s[t, i]) / sum over t of e^(s[t, i])                       (2)
 *              y[i, j] = sum over t of w[t, i] x[t, j]                                 (3)
 *   backward   dw[t, i] = sum over j of dy[i, j] x[t, j],  dx = w dy                   (3')
 *              ds[t, i] = w[t, i] (dw[t, i] - sum over t of w[t, i] dw[t, i])          (2')
 *              dx += ds W,  dW = ds^T x,  db = 0: (2) takes b out again                (1')
 *
 *   x, saved.w, tmp.dw [R, H]   y [B, H * H], row-major in (i, j)   weight [H, H]   bias [H] */
#include <string.h>

#include "comm/arena.h"
#include "layers/attention/parts.h"
#include "layers/ops/attention.h"

typedef struct ChannelConfig {
    bool bias;
} ChannelConfig;

static const Key keys[] = {
    {"bias", KEY_BOOL, offsetof(ChannelConfig, bias), "true", 0, 0, NULL, false,
     "add a vector to the scores, which the softmax takes out again; for checkpoints that have one"},
    {0},
};

typedef struct Channel {
    size_t H;
    Dense scores;
    struct {
        real *w;
    } saved;
    struct {
        real *dw, *dy; /* dy: one sequence's, packed */
    } tmp;
} Channel;

static Status channel_plan(Layer *layer, Plan *plan) {
    const ChannelConfig *config = layer->config;
    Channel *self = layer->self;
    const Value *in = layer->in[0];
    const size_t H = in->features, rows = plan_max_rows(plan, in->grain);
    size_t square;
    self->H = H;
    if (!grain_has_time(in->grain))
        return plan_fail(layer, "input", "'%s' has one row per sequence already; name a layer with one per step",
                         in->name);
    if (!size_multiply(H, panel_round(H), &square))
        return plan_fail(layer, NULL, "%zu x %zu channels overflow the address space; make the layer below smaller", H,
                         H);
    plan_output(plan, layer, "", PER_SEQUENCE, H * H);
    const Init init = dense_init(H);
    self->scores = (Dense){.I = H, .O = H, .grain = in->grain, .idle_bias = true};
    TRY(dense_plan(&self->scores, layer, plan, "", init, config->bias ? &init : NULL));
    plan_saved(plan, &self->saved.w, rows * H);
    if (!plan_trains(plan)) return OK;
    plan_tmp(plan, &self->tmp.dw, rows * H);
    plan_tmp(plan, &self->tmp.dy, square);
    return OK;
}

static void channel_forward(Layer *layer, const Pass *pass) {
    const Channel *self = layer->self;
    const size_t *offset = rows_offset(&pass->rows, layer->in[0]->grain), B = pass->rows.sequences, H = self->H;
    const real *x = layer->in[0]->v;
    real *w = self->saved.w, *y = layer->out[0]->v;
    if (!y) return;
    dense_forward(&self->scores, offset[B], x, H, w, H); /* (1) */
    op_softmax_time(B, offset, H, w);                    /* (2) */
    for (size_t b = 0; b < B; b++) {                     /* (3) */
        const size_t first = offset[b] * H;
        gemm_tn(&(GemmTn){.m = H,
                          .n = H,
                          .k = offset[b + 1] - offset[b],
                          .a = w + first,
                          .lda = H,
                          .order = in_order(H),
                          .b = x + first,
                          .ldb = H,
                          .c = y + b * H * H,
                          .ldc = H});
    }
    for (size_t b = 0; pass->look && b < B; b++) {
        const size_t T = offset[b + 1] - offset[b];
        memcpy(pass->look->w, w + offset[b] * H, T * H * sizeof *w);
        pass->look->take(pass->look, layer, 0, b, 0, 1, T);
    }
}

static bool channel_set(const Layer *layer, size_t i, AttentionSet *set) {
    const Channel *self = layer->self;
    *set = (AttentionSet){.heads = 1,
                          .channels = self->H,
                          .query = PER_SEQUENCE,
                          .key = layer->in[0]->grain,
                          .flops = 2 * (double)self->H * (double)self->H};
    return i == 0;
}

/* (3') of one sequence of T rows; dx may be NULL. */
static void back_through_sum(const Channel *self, size_t T, const real *x, const real *w, const real *dy, real *dw,
                             real *dx) {
    const size_t H = self->H;
    pack_transposed(dy, H, H, in_order(H), 0, panel_count(H), self->tmp.dy);
    gemm(&(Gemm){.m = T, .n = H, .k = H, .a = x, .lda = H, .b = self->tmp.dy, .c = dw, .ldc = H});
    if (!dx) return;
    pack_plain(dy, H, in_order(H), H, 0, panel_count(H), self->tmp.dy);
    gemm(&(Gemm){.m = T, .n = H, .k = H, .a = w, .lda = H, .b = self->tmp.dy, .c = dx, .ldc = H});
}

static void channel_backward(Layer *layer, const Pass *pass) {
    const Channel *self = layer->self;
    const size_t *offset = rows_offset(&pass->rows, layer->in[0]->grain), B = pass->rows.sequences, H = self->H;
    const real *x = layer->in[0]->v, *w = self->saved.w, *dy = layer->out[0]->g;
    real *dx = layer->in[0]->g, *dw = self->tmp.dw;
    for (size_t b = 0; b < B; b++) {
        const size_t first = offset[b] * H;
        back_through_sum(self, offset[b + 1] - offset[b], x + first, w + first, dy + b * H * H, dw + first,
                         dx ? dx + first : NULL);
    }
    op_softmax_time_backward(B, offset, H, w, dw);     /* (2') */
    dense_gradients(&self->scores, pass, dw, H, x, H); /* (1') */
    if (dx) dense_input_gradient(&self->scores, offset[B], dw, H, dx, H, true);
}

/* All rows of a sequence make one. */
static const char *channel_looks_ahead(const void *config, size_t inputs, size_t i) {
    (void)config, (void)inputs, (void)i;
    return "";
}

static const LayerCase cases[] = {
    {"5 channels", &(ChannelConfig){false}, 5, 0},
    {"17 channels", &(ChannelConfig){false}, 17, 0},
    {0},
};

const LayerType layer_channel_attention = {
    .kind = "channel_attention",
    .summary = "H x H features per sequence: every channel's own weighted mean of the rows",
    .keys = keys,
    .config_size = sizeof(ChannelConfig),
    .self_size = sizeof(Channel),
    .max_inputs = 1,
    .attention = channel_set,
    .reads = READS_IN,
    .looks_ahead = channel_looks_ahead,
    .plan = channel_plan,
    .forward = channel_forward,
    .backward = channel_backward,
    .cases = cases,
};
