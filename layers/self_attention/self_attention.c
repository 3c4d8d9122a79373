/* SPDX-License-Identifier: MIT
 *
 * self_attention.c: attention with one head and no output projection: query, key and value are linear maps
 * of the input to hidden_size features. The equations, shapes and names (query.*, key.*, value.*) are in
 * attention/attention_block.h.
 *
 *   x [R, I]   y [R, H] */
#include "layers/attention/attention_block.h"

typedef struct SelfAttentionConfig {
    size_t hidden_size;
    bool bias, causal;
    double dropout;
} SelfAttentionConfig;

static const Key keys[] = {
    {"hidden_size", KEY_SIZE, offsetof(SelfAttentionConfig, hidden_size), "null", 1, 1e6, NULL, true,
     "features of query, key and value; null: those of the input"},
    {"bias", KEY_BOOL, offsetof(SelfAttentionConfig, bias), "true", 0, 0, NULL, false,
     "add a learned vector to query, key and value"},
    {"dropout", KEY_REAL, offsetof(SelfAttentionConfig, dropout), "0", 0, 1, NULL, false,
     "probability, on the attention weights"},
    {"causal", KEY_BOOL, offsetof(SelfAttentionConfig, causal), "false", 0, 0, NULL, false,
     "a step sees itself and earlier steps alone"},
    {0},
};

typedef struct SelfAttention {
    AttentionBlock block;
    AttentionSaved saved;
    AttentionWork tmp;
} SelfAttention;

static Status self_attention_plan(Layer *layer, Plan *plan) {
    const SelfAttentionConfig *config = layer->config;
    SelfAttention *self = layer->self;
    const Value *in = layer->in[0];
    const size_t I = in->features, H = config->hidden_size == KEY_NULL_SIZE ? I : config->hidden_size;
    if (!grain_has_time(in->grain))
        return plan_fail(layer, "input",
                         "'%s' has one row per sequence, attention reads one per step; name a layer before the select",
                         in->name);
    self->block = (AttentionBlock){.names = ATTENTION_FREE,
                                   .prefix = "",
                                   .heads = 1,
                                   .d = H,
                                   .I = {I, I, I},
                                   .grain = in->grain,
                                   .key_grain = in->grain,
                                   .bias = config->bias,
                                   .causal = config->causal,
                                   .dropout = config->dropout};
    plan_output(plan, layer, "", in->grain, H);
    TRY(attention_plan(&self->block, layer, plan));
    attention_plan_saved(&self->block, plan, &self->saved);
    attention_plan_scratch(&self->block, plan, &self->tmp);
    if (plan_trains(plan)) attention_plan_gradients(&self->block, plan, &self->tmp);
    return OK;
}

static void self_attention_forward(Layer *layer, const Pass *pass) {
    const SelfAttention *self = layer->self;
    const real *x = layer->in[0]->v;
    if (!layer->out[0]->v) return;
    attention_forward(&self->block, pass, &self->saved, &self->tmp, &x, layer->out[0]->v);
    attention_show(&self->block, layer, pass, &self->saved, &self->tmp, 0);
}

static bool self_attention_set(const Layer *layer, size_t i, AttentionSet *set) {
    *set = attention_set(&((const SelfAttention *)layer->self)->block);
    return i == 0;
}

static void self_attention_backward(Layer *layer, const Pass *pass) {
    const SelfAttention *self = layer->self;
    const real *x = layer->in[0]->v;
    real *dx = layer->in[0]->g;
    attention_backward(&self->block, pass, &self->saved, &self->tmp, &x, layer->out[0]->v, layer->out[0]->g, &dx,
                       (const bool[]){false});
}

static const char *self_attention_looks_ahead(const void *config, size_t inputs, size_t i) {
    (void)inputs, (void)i;
    return ((const SelfAttentionConfig *)config)->causal ? NULL : "causal";
}

static const LayerCase cases[] = {
    {"7 features", &(SelfAttentionConfig){KEY_NULL_SIZE, false, false, 0}, 7, 0},
    {"3 features to 17, causal, dropout", &(SelfAttentionConfig){17, false, true, 0.3}, 3, 0},
    {0},
};

const LayerType layer_self_attention = {
    .kind = "self_attention",
    .summary = "every step looks at the steps of its sequence; one head, no output projection",
    .keys = keys,
    .window = true,
    .shorthand = "hidden_size",
    .config_size = sizeof(SelfAttentionConfig),
    .self_size = sizeof(SelfAttention),
    .max_inputs = 1,
    .attention = self_attention_set,
    .looks_ahead = self_attention_looks_ahead,
    .reads = READS_IN | READS_OUT,
    .plan = self_attention_plan,
    .forward = self_attention_forward,
    .backward = self_attention_backward,
    .cases = cases,
};
