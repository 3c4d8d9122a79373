/* SPDX-License-Identifier: MIT
 *
 * multi_head_attention.c: every row looks at all rows of its sequence (Vaswani et al. 2017). Without head_dim
 * and out_features it is nn.MultiheadAttention: the features are split among the heads. With one of them,
 * query, key and value are linear maps to num_heads * head_dim features, and `fc` maps to out_features.
 * The equations, shapes and names are in attention/attention_block.h.
 *
 *   query [R, I]   key, value [Rk, I]   y [R, O]
 *
 * `input: [query, key, value]` reads several layers; the value defaults to the key, both to the query. A decoder's
 * query looks at an encoder's rows with `input: [rnn, encoder]`. */
#include "layers/attention/attention_block.h"

typedef struct MultiHeadConfig {
    size_t num_heads, head_dim, out_features;
    bool bias, causal;
    double dropout;
} MultiHeadConfig;

static const Key keys[] = {
    {"num_heads", KEY_SIZE, offsetof(MultiHeadConfig, num_heads), NULL, 1, ATTENTION_MOST_HEADS, NULL, false,
     "heads that look each in its own way"},
    {"head_dim", KEY_SIZE, offsetof(MultiHeadConfig, head_dim), "null", 1, 1e6, NULL, true,
     "features of a head; null: the input's features / num_heads"},
    {"out_features", KEY_SIZE, offsetof(MultiHeadConfig, out_features), "null", 1, 1e9, NULL, true,
     "size of the output; null: that of the input"},
    {"bias", KEY_BOOL, offsetof(MultiHeadConfig, bias), "true", 0, 0, NULL, false,
     "learned vectors in all linear maps"},
    {"dropout", KEY_REAL, offsetof(MultiHeadConfig, dropout), "0", 0, 1, NULL, false,
     "probability, on the attention weights"},
    {"causal", KEY_BOOL, offsetof(MultiHeadConfig, causal), "false", 0, 0, NULL, false,
     "a step sees itself and earlier steps alone"},
    {0},
};

typedef struct MultiHead {
    AttentionBlock block;
    AttentionSaved saved;
    AttentionWork tmp;
} MultiHead;

/* Inputs that are the same value become one. */
static Status plan_inputs(Layer *layer, AttentionBlock *block) {
    const Value *const *in = (const Value *const *)layer->in;
    for (size_t i = 0; i < layer->inputs; i++)
        if (!grain_has_time(in[i]->grain))
            return plan_fail(
                layer, "input",
                "'%s' has one row per sequence, attention reads one per step; name a layer before the select",
                in[i]->name);
    if (layer->inputs == 3 && in[1]->grain != in[2]->grain)
        return plan_fail(layer, "input",
                         "the keys '%s' and the values '%s' have different steps; name two that have equal",
                         in[1]->name, in[2]->name);
    if (layer->inputs == 3 && in[2] == in[1]) layer->inputs = 2;
    if (layer->inputs == 2 && in[1] == in[0]) layer->inputs = 1;
    for (size_t i = 0; i < ATTENTION_INPUTS; i++) {
        block->source[i] = i < layer->inputs ? i : layer->inputs - 1;
        block->I[i] = in[block->source[i]]->features;
    }
    return OK;
}

static Status multi_head_plan(Layer *layer, Plan *plan) {
    const MultiHeadConfig *config = layer->config;
    MultiHead *self = layer->self;
    AttentionBlock *block = &self->block;
    const bool free_form = config->head_dim != KEY_NULL_SIZE || config->out_features != KEY_NULL_SIZE;
    TRY(plan_inputs(layer, block));
    const size_t E = block->I[0];
    if (config->head_dim == KEY_NULL_SIZE && E % config->num_heads != 0)
        return plan_fail(layer, "num_heads",
                         "%zu heads cannot share the %zu features of '%s' evenly; use a divisor, or set head_dim",
                         config->num_heads, E, layer->in[0]->name);
    for (size_t i = 1; i < ATTENTION_INPUTS && !free_form; i++)
        if (block->I[i] != E)
            return plan_fail(layer, "input",
                             "'%s' has %zu features, the query '%s' %zu; make them equal, or set head_dim",
                             layer->in[block->source[i]]->name, block->I[i], layer->in[0]->name, E);
    *block = (AttentionBlock){.names = free_form ? ATTENTION_FREE : ATTENTION_TORCH,
                              .prefix = "",
                              .heads = config->num_heads,
                              .d = config->head_dim == KEY_NULL_SIZE ? E / config->num_heads : config->head_dim,
                              .I = {block->I[0], block->I[1], block->I[2]},
                              .source = {block->source[0], block->source[1], block->source[2]},
                              .O = config->out_features == KEY_NULL_SIZE ? E : config->out_features,
                              .grain = layer->in[0]->grain,
                              .key_grain = layer->in[layer->inputs - 1]->grain,
                              .bias = config->bias,
                              .causal = config->causal,
                              .dropout = config->dropout};
    if (block->causal && block->key_grain != block->grain)
        return plan_fail(layer, "causal",
                         "the steps of '%s' are not those of '%s', so none comes later; leave the key out",
                         layer->in[1]->name, layer->in[0]->name);
    plan_output(plan, layer, "", block->grain, block->O);
    TRY(attention_plan(block, layer, plan));
    attention_plan_saved(block, plan, &self->saved);
    attention_plan_scratch(block, plan, &self->tmp);
    if (plan_trains(plan)) attention_plan_gradients(block, plan, &self->tmp);
    return OK;
}

static void values_of(const Layer *layer, const real *x[ATTENTION_INPUTS]) {
    for (size_t i = 0; i < layer->inputs; i++) x[i] = layer->in[i]->v;
}

static void multi_head_forward(Layer *layer, const Pass *pass) {
    const MultiHead *self = layer->self;
    const real *x[ATTENTION_INPUTS];
    values_of(layer, x);
    if (!layer->out[0]->v) return;
    attention_forward(&self->block, pass, &self->saved, &self->tmp, x, layer->out[0]->v);
    attention_show(&self->block, layer, pass, &self->saved, &self->tmp, 0);
}

static bool multi_head_set(const Layer *layer, size_t i, AttentionSet *set) {
    *set = attention_set(&((const MultiHead *)layer->self)->block);
    return i == 0;
}

static void multi_head_backward(Layer *layer, const Pass *pass) {
    const MultiHead *self = layer->self;
    const real *x[ATTENTION_INPUTS];
    real *dx[ATTENTION_INPUTS] = {NULL, NULL, NULL};
    values_of(layer, x);
    for (size_t i = 0; i < layer->inputs; i++) dx[i] = layer->in[i]->g;
    attention_backward(&self->block, pass, &self->saved, &self->tmp, x, layer->out[0]->v, layer->out[0]->g, dx,
                       (const bool[ATTENTION_INPUTS]){false});
}

/* The first of several inputs asks; the others are looked at. */
static const char *multi_head_looks_ahead(const void *config, size_t inputs, size_t i) {
    if (i == 0 && inputs > 1) return NULL;
    return ((const MultiHeadConfig *)config)->causal ? NULL : "causal";
}

static const LayerCase cases[] = {
    {"2 heads of 6 features", &(MultiHeadConfig){2, KEY_NULL_SIZE, KEY_NULL_SIZE, true, false, 0}, 6, 0},
    {"causal, dropout, no bias", &(MultiHeadConfig){3, KEY_NULL_SIZE, KEY_NULL_SIZE, false, true, 0.3}, 9, 0},
    {"free sizes", &(MultiHeadConfig){2, 5, 7, false, false, 0}, 4, 0},
    {"17 features to 33, causal", &(MultiHeadConfig){1, 17, 33, false, true, 0.2}, 3, 0},
    {0},
};

static const LayerCase decoder_cases[] = {
    {"2 heads of 3 features", &(MultiHeadConfig){2, KEY_NULL_SIZE, KEY_NULL_SIZE, true, false, 0}, 6, 0},
    {"22 features, dropout, no bias", &(MultiHeadConfig){2, KEY_NULL_SIZE, KEY_NULL_SIZE, false, false, 0.3}, 22, 0},
    {"free sizes", &(MultiHeadConfig){3, 7, 5, true, false, 0}, 4, 0},
    {0},
};

const LayerType layer_multi_head_attention = {
    .kind = "multi_head_attention",
    .summary = "every step looks at the steps of its sequence, several ways at once",
    .keys = keys,
    .window = true,
    .shorthand = "num_heads",
    .config_size = sizeof(MultiHeadConfig),
    .self_size = sizeof(MultiHead),
    .max_inputs = 3,
    .attention = multi_head_set,
    .looks_ahead = multi_head_looks_ahead,
    .reads = READS_IN,
    .plan = multi_head_plan,
    .forward = multi_head_forward,
    .backward = multi_head_backward,
    .cases = cases,
    .decoder_cases = decoder_cases,
};
