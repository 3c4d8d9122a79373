/* SPDX-License-Identifier: MIT
 *
 * basic_attention.c: queries look at the rows of their sequence (Luong et al. 2015, the dot form).
 *
 *   forward    w_it = e^(x_t . q_i) / sum_t e^(x_t . q_i),  y_i = sum_t w_it x_t
 *   backward   as in ops/attention.h, with x as keys and as values: dx is the sum of both gradients
 *
 *   x [R, H]   q, y [Q, H]: one query per sequence, or one per step of the input or of a decoder
 *
 * The query is the second input, [layer, query], or the final state h_n of the recurrent layer above: its last
 * H columns; with `query: last`, the sequence's last row. In a decoder, `input: [encoder, rnn]` asks at every
 * step of the rnn. */
#include <string.h>

#include "layers/layer.h"
#include "layers/ops/attention.h"

typedef enum Query { FINAL, LAST } Query;

typedef struct BasicConfig {
    int query; /* Query */
} BasicConfig;

static const Key keys[] = {
    {"query", KEY_CHOICE, offsetof(BasicConfig, query), "final", 0, 0, "final|last", false,
     "without a second input: the final hidden state of the layer above, or its last row"},
    {0},
};

typedef struct Basic {
    size_t H, threads;
    bool last;
    size_t *unit; /* [B + 1] offsets of one row per sequence; NULL: of the query's stream */
    struct {
        real *norm; /* [Q, 2] */
    } saved;
    struct {
        real *scratch, *q, *dq; /* [Q, H] */
        real *dk, *dv;          /* [R, H] */
        real *delta;            /* [Q] */
    } tmp;
} Basic;

static Status plan_query(Layer *layer) {
    const BasicConfig *config = layer->config;
    Basic *self = layer->self;
    const Value *in = layer->in[0];
    self->last = layer->inputs == 1 && config->query == LAST;
    if (self->last) return OK;
    if (layer->inputs == 1) {
        layer->in[1] = plan_sibling(in, "h_n");
        if (!layer->in[1])
            return plan_fail(layer, "query", "'%s' has no final state; name a query in `input`, or use last", in->name);
        layer->inputs = 2;
    }
    const Value *query = layer->in[1];
    const bool state = query == plan_sibling(query, "h_n");
    if (query->features != self->H && !(state && query->features > self->H))
        return plan_fail(layer, "input",
                         "the query '%s' has %zu features, '%s' %zu; make them equal with a linear layer", query->name,
                         query->features, in->name, self->H);
    return OK;
}

static Status basic_plan(Layer *layer, Plan *plan) {
    Basic *self = layer->self;
    const Value *in = layer->in[0];
    const size_t R = plan_max_rows(plan, in->grain);
    self->H = in->features;
    self->threads = plan_threads(plan);
    if (!grain_has_time(in->grain))
        return plan_fail(layer, "input", "'%s' has one row per sequence already; name a layer with one per step",
                         in->name);
    TRY(plan_query(layer));
    if (attention_scratch(self->H) > SIZE_MAX / sizeof(double) / self->threads)
        return plan_fail(layer, NULL, "%zu features overflow the address space", self->H);
    const Grain grain = self->last ? PER_SEQUENCE : layer->in[1]->grain;
    const size_t Q = plan_max_rows(plan, grain);
    plan_output(plan, layer, "", grain, self->H);
    if (!grain_has_time(grain)) plan_index(plan, &self->unit, Q + 1);
    plan_saved(plan, &self->saved.norm, 2 * Q);
    plan_tmp(plan, &self->tmp.scratch, self->threads * attention_scratch(self->H));
    if (self->last) plan_tmp(plan, &self->tmp.q, Q * self->H);
    if (!plan_trains(plan)) return OK;
    plan_tmp(plan, &self->tmp.dq, Q * self->H);
    plan_tmp(plan, &self->tmp.dk, R * self->H);
    plan_tmp(plan, &self->tmp.dv, R * self->H);
    plan_tmp(plan, &self->tmp.delta, Q);
    return OK;
}

static Attention attention_of(const Layer *layer, const Pass *pass) {
    const Basic *self = layer->self;
    const Rows *rows = &pass->rows;
    const Value *in = layer->in[0], *query = self->last ? NULL : layer->in[1];
    const size_t H = self->H;
    for (size_t b = 0; self->unit && b <= rows->sequences; b++) self->unit[b] = b;
    for (size_t b = 0; self->last && b < rows->sequences; b++)
        memcpy(self->tmp.q + b * H, in->v + (sequence_row(rows, in->grain, b + 1) - 1) * H, H * sizeof(real));
    return (Attention){.sequences = rows_sequences(rows, in->grain),
                       .q_offset = self->unit ? self->unit : rows_offset_of(rows, query->grain, in->grain),
                       .k_offset = rows_offset(rows, in->grain),
                       .heads = 1,
                       .d = H,
                       .scale = 1,
                       .q = query ? query->v + (query->features - H) : self->tmp.q,
                       .k = in->v,
                       .v = in->v,
                       .ldq = query ? query->features : H,
                       .ldk = H,
                       .ldv = H,
                       .out = layer->out[0]->v,
                       .ldo = H,
                       .norm = self->saved.norm,
                       .scratch = self->tmp.scratch,
                       .threads = self->threads};
}

static void basic_forward(Layer *layer, const Pass *pass) {
    if (!layer->out[0]->v) return;
    const Attention attention = attention_of(layer, pass);
    op_attention(&attention);
    for (size_t b = 0; pass->look && b < attention.sequences; b++) {
        op_attention_weights(&attention, b, 0, pass->look->w);
        pass->look->take(pass->look, layer, 0, b, 0, attention.q_offset[b + 1] - attention.q_offset[b],
                         attention.k_offset[b + 1] - attention.k_offset[b]);
    }
}

static bool basic_set(const Layer *layer, size_t i, AttentionSet *set) {
    const Basic *self = layer->self;
    *set = (AttentionSet){
        .heads = 1, .query = layer->out[0]->grain, .key = layer->in[0]->grain, .flops = 4 * (double)self->H};
    return i == 0;
}

static void basic_backward(Layer *layer, const Pass *pass) {
    const Basic *self = layer->self;
    const Rows *rows = &pass->rows;
    const size_t H = self->H, count = rows_of(rows, layer->in[0]->grain) * H;
    const Value *query = self->last ? NULL : layer->in[1];
    real *dx = layer->in[0]->g, *dq = self->tmp.dq;
    size_t lddq = H;
    if (query && query->g) {
        lddq = query->features;
        dq = query->g + (lddq - H);
        op_zero(rows_of(rows, query->grain) * lddq, query->g);
    }
    AttentionBackward backward = {.forward = attention_of(layer, pass),
                                  .dout = layer->out[0]->g,
                                  .lddo = H,
                                  .dq = dq,
                                  .lddq = lddq,
                                  .dk = dx ? dx : self->tmp.dk,
                                  .lddk = H,
                                  .dv = self->tmp.dv,
                                  .lddv = H,
                                  .delta = self->tmp.delta};
    op_attention_backward(&backward);
    if (!dx) return;
    op_add(count, self->tmp.dv, dx);
    for (size_t b = 0; self->last && b < rows->sequences; b++)
        op_add(H, dq + b * H, dx + (sequence_row(rows, layer->in[0]->grain, b + 1) - 1) * H);
}

static const char *basic_looks_ahead(const void *config, size_t inputs, size_t i) {
    (void)config, (void)inputs;
    return i == 0 ? "" : NULL;
}

static const LayerCase cases[] = {
    {"the last row asks, 7 features", &(BasicConfig){LAST}, 7, 0},
    {"the last row asks, 17 features", &(BasicConfig){LAST}, 17, 0},
    {0},
};

static const LayerCase decoder_cases[] = {
    {"the data's steps ask, 5 features", &(BasicConfig){FINAL}, 5, 0},
    {"the data's steps ask, 17 features", &(BasicConfig){FINAL}, 17, 0},
    {0},
};

const LayerType layer_basic_attention = {
    .kind = "basic_attention",
    .summary = "for every query the mean of a sequence's rows, weighted by their likeness to it",
    .keys = keys,
    .shorthand = "query",
    .config_size = sizeof(BasicConfig),
    .self_size = sizeof(Basic),
    .max_inputs = 2,
    .attention = basic_set,
    .looks_ahead = basic_looks_ahead,
    .reads = READS_IN | READS_OUT,
    .plan = basic_plan,
    .forward = basic_forward,
    .backward = basic_backward,
    .cases = cases,
    .decoder_cases = decoder_cases,
};
