/* SPDX-License-Identifier: MIT
 *
 * transformer_encoder.c: L layers of attention and feed-forward network, each with a residual connection and
 * a layer normalisation (Vaswani et al. 2017), as nn.TransformerEncoder. m1 ... m4 are masks of dropout, f is
 * relu or gelu; m1 acts on the weights inside attention.
 *
 *   post-norm                                   pre-norm (norm_first)
 *   (1) s = x + m2 attention(x; m1)             s = x + m2 attention(norm1(x); m1)
 *   (2) y = norm1(s)                            y = norm2(s)
 *   (3) e = y + m4 W2 m3 f(W1 y)                e = s + m4 W2 m3 f(W1 y)
 *   (4) x of the next layer = norm2(e)          x of the next layer = e
 *   (5) with `norm`, the result of all layers goes through one more norm
 *
 * Backward goes the same way from bottom to top. What is cheap is made again: y, norm2(e), norm1(x), f and
 * the masks. Per row of the input are saved, with E features, F = dim_feedforward and H heads:
 *
 *   attention.qkv 3 E   attention.context E   attention.norm 2 H   mid (s) E   end (e) E   hidden F   norms 4
 *
 *   in, out [R, E]   layers.<l>.self_attn.in_proj_weight [3 E, E], in_proj_bias [3 E], out_proj.weight [E, E]
 *   layers.<l>.linear1.weight [F, E]   linear2.weight [E, F]   norm1.*, norm2.*, norm.* [E] */
#include <stdio.h>

#include "comm/arena.h"
#include "layers/transformer_encoder/encoder.h"

static const Key keys[] = {
    {"nhead", KEY_SIZE, offsetof(EncoderConfig, nhead), NULL, 1, ATTENTION_MOST_HEADS, NULL, false,
     "heads of attention; a divisor of the input's features"},
    {"num_layers", KEY_SIZE, offsetof(EncoderConfig, num_layers), "1", 1, ENCODER_MOST_LAYERS, NULL, false,
     "layers on top of each other"},
    {"dim_feedforward", KEY_SIZE, offsetof(EncoderConfig, dim_feedforward), "2048", 1, 1e9, NULL, false,
     "features inside the feed-forward network"},
    {"dropout", KEY_REAL, offsetof(EncoderConfig, dropout), "0.1", 0, 1, NULL, false,
     "probability, on attention weights, after attention, and inside and after the feed-forward network"},
    {"activation", KEY_CHOICE, offsetof(EncoderConfig, activation), "relu", 0, 0, "relu|gelu", false,
     "inside the feed-forward network"},
    {"norm_first", KEY_BOOL, offsetof(EncoderConfig, norm_first), "false", 0, 0, NULL, false,
     "normalise before attention and feed-forward instead of after the sums"},
    {"causal", KEY_BOOL, offsetof(EncoderConfig, causal), "false", 0, 0, NULL, false,
     "a step sees itself and earlier steps alone"},
    {"norm", KEY_BOOL, offsetof(EncoderConfig, norm), "false", 0, 0, NULL, false,
     "one more normalisation at the end; usual with norm_first"},
    {"bias", KEY_BOOL, offsetof(EncoderConfig, bias), "true", 0, 0, NULL, false,
     "learned vectors in linear maps and normalisations"},
    {"layer_norm_eps", KEY_REAL, offsetof(EncoderConfig, layer_norm_eps), "1e-5", 0, 1, NULL, false,
     "added to the variance"},
    {0},
};

/* ---- plan ------------------------------------------------------------------------------------------------ */

static Status plan_layer(Layer *layer, Plan *plan, size_t l) {
    const EncoderConfig *config = layer->config;
    Encoder *self = layer->self;
    EncoderLayer *own = &self->layer[l];
    char stem[32], name[64];
    const size_t E = self->E, F = self->F;
    snprintf(stem, sizeof stem, "layers.%zu.", l);
    snprintf(name, sizeof name, "%sself_attn.", stem);
    own->attention = (AttentionBlock){.names = ATTENTION_TORCH,
                                      .prefix = name,
                                      .heads = config->nhead,
                                      .d = E / config->nhead,
                                      .I = {E, E, E},
                                      .grain = self->grain,
                                      .O = E,
                                      .bias = config->bias,
                                      .causal = config->causal,
                                      .dropout = config->dropout,
                                      .site = (uint32_t)(l * ENCODER_SITES + SITE_WEIGHTS)};
    TRY(attention_plan(&own->attention, layer, plan));
    own->attention.prefix = NULL;

    const Init in = dense_init(E), out = dense_init(F);
    Init residual = out;
    residual.residual = true;
    own->linear1 = (Dense){.I = E, .O = F, .grain = self->grain};
    own->linear2 = (Dense){.I = F, .O = E, .grain = self->grain};
    snprintf(name, sizeof name, "%slinear1.", stem);
    TRY(dense_plan(&own->linear1, layer, plan, name, in, config->bias ? &in : NULL));
    snprintf(name, sizeof name, "%slinear2.", stem);
    TRY(dense_plan(&own->linear2, layer, plan, name, residual, config->bias ? &out : NULL));
    for (size_t i = 0; i < 2; i++) {
        own->norm[i] = (Norm){.F = E, .grain = self->grain, .eps = (real)config->layer_norm_eps};
        snprintf(name, sizeof name, "%snorm%zu.", stem, i + 1);
        TRY(norm_plan(&own->norm[i], layer, plan, name, config->bias));
    }
    return OK;
}

static void plan_layer_saved(const Layer *layer, Plan *plan, size_t l) {
    const EncoderConfig *config = layer->config;
    Encoder *self = layer->self;
    EncoderSaved *saved = &self->layer[l].saved;
    const size_t rows = plan_max_rows(plan, self->grain);
    attention_plan_saved(&self->layer[l].attention, plan, &saved->attention);
    plan_saved(plan, &saved->mid, rows * self->E);
    if (!self->norm_first || config->norm || l + 1 < self->L) plan_saved(plan, &saved->end, rows * self->E);
    plan_saved(plan, &saved->hidden, rows * self->F);
    for (size_t i = 0; i < 2; i++) norm_plan_saved(&self->layer[l].norm[i], plan, &saved->norm[i]);
}

static void plan_memory(const Layer *layer, Plan *plan) {
    Encoder *self = layer->self;
    const size_t rows = plan_max_rows(plan, self->grain), E = self->E, F = self->F;
    for (size_t l = 0; l < (self->trains ? self->L : 1); l++) plan_layer_saved(layer, plan, l);
    plan_tmp(plan, &self->tmp.x, rows * E);
    plan_tmp(plan, &self->tmp.y, rows * E);
    if (self->activation == ACT_GELU || self->dropout > 0) plan_tmp(plan, &self->tmp.active, rows * F);
    attention_plan_scratch(&self->layer[0].attention, plan, &self->tmp.attention);
    if (!self->trains) return;
    plan_tmp(plan, &self->tmp.z, rows * E);
    plan_tmp(plan, &self->tmp.g, rows * E);
    plan_tmp(plan, &self->tmp.wide, rows * (F > 3 * E ? F : 3 * E));
}

static Status encoder_plan(Layer *layer, Plan *plan) {
    const EncoderConfig *config = layer->config;
    Encoder *self = layer->self;
    const Value *in = layer->in[0];
    self->grain = in->grain;
    self->E = in->features;
    self->F = config->dim_feedforward;
    self->L = config->num_layers;
    self->trains = plan_trains(plan);
    self->norm_first = config->norm_first;
    self->activation = config->activation == 0 ? ACT_RELU : ACT_GELU;
    self->dropout = config->dropout;
    if (!grain_has_time(in->grain))
        return plan_fail(layer, "input",
                         "'%s' has one row per sequence, attention reads one per step; name a layer before the select",
                         in->name);
    if (self->E % config->nhead != 0)
        return plan_fail(layer, "nhead", "%zu heads cannot share the %zu features of '%s' evenly; use a divisor",
                         config->nhead, self->E, in->name);
    size_t reals;
    if (!size_multiply3(plan_max_rows(plan, self->grain), self->F, sizeof(double), &reals))
        return plan_fail(layer, "dim_feedforward", "%zu features for %zu steps overflow the address space; use fewer",
                         self->F, plan_max_rows(plan, self->grain));
    plan_output(plan, layer, "", self->grain, self->E);
    for (size_t l = 0; l < self->L; l++) TRY(plan_layer(layer, plan, l));
    if (config->norm) {
        self->norm = (Norm){.F = self->E, .grain = self->grain, .eps = (real)config->layer_norm_eps};
        TRY(norm_plan(&self->norm, layer, plan, "norm.", config->bias));
        norm_plan_saved(&self->norm, plan, &self->saved.norm);
    }
    plan_memory(layer, plan);
    return OK;
}

/* ---- what forward and backward share ----------------------------------------------------------------------- */

void encoder_drop(const Layer *layer, const Pass *pass, size_t l, EncoderSite site, size_t features, const real *x,
                  real *y) {
    const Encoder *self = layer->self;
    const Rows *rows = &pass->rows;
    const DropoutKey key = {pass->seed, pass->step, layer->key, (uint32_t)(l * ENCODER_SITES + site)};
    if (encoder_drops(self, pass))
        op_dropout(key, (real)self->dropout, rows->sequences, rows_offset(rows, self->grain), rows->position, features,
                   x, features, y, features);
    else if (x != y) op_copy(rows_of(rows, self->grain) * features, x, y);
}

const real *encoder_input(const Layer *layer, size_t rows, size_t l, real *memory) {
    const Encoder *self = layer->self;
    if (l == 0) return layer->in[0]->v;
    const EncoderSaved *below = encoder_saved(self, l - 1);
    if (self->norm_first) return below->end;
    norm_forward(&self->layer[l - 1].norm[1], rows, below->end, memory, &below->norm[1]);
    return memory;
}

const real *encoder_active(const Layer *layer, const Pass *pass, size_t l, bool fresh) {
    const Encoder *self = layer->self;
    const size_t count = rows_of(&pass->rows, self->grain) * self->F;
    real *hidden = encoder_saved(self, l)->hidden;
    const bool relu = self->activation == ACT_RELU;
    if (relu && fresh) op_activation(ACT_RELU, count, hidden, hidden);
    if (relu && !encoder_drops(self, pass)) return hidden;
    if (!relu) op_activation(self->activation, count, hidden, self->tmp.active);
    encoder_drop(layer, pass, l, SITE_HIDDEN, self->F, relu ? hidden : self->tmp.active, self->tmp.active);
    return self->tmp.active;
}

static bool encoder_set(const Layer *layer, size_t i, AttentionSet *set) {
    const Encoder *self = layer->self;
    if (i >= self->L) return false;
    *set = attention_set(&self->layer[i].attention);
    snprintf(set->name, sizeof set->name, "layers.%zu", i);
    return true;
}

static const LayerCase cases[] = {
    {"post-norm", &(EncoderConfig){2, 2, 9, 0, 0, false, false, false, true, 1e-5}, 6, 0},
    {"pre-norm, gelu, causal, final norm", &(EncoderConfig){1, 2, 17, 0, 1, true, true, true, true, 1e-5}, 5, 0},
    {"post-norm, gelu, dropout, final norm, no bias",
     &(EncoderConfig){2, 2, 5, 0.2, 1, false, false, true, false, 1e-3}, 4, 0},
    {"pre-norm, dropout", &(EncoderConfig){3, 2, 7, 0.3, 0, true, true, false, true, 1e-5}, 6, 0},
    {0},
};

const LayerType layer_transformer_encoder = {
    .kind = "transformer_encoder",
    .summary = "layers of attention and feed-forward network, as nn.TransformerEncoder",
    .keys = keys,
    .window = true,
    .shorthand = "nhead",
    .config_size = sizeof(EncoderConfig),
    .self_size = sizeof(Encoder),
    .max_inputs = 1,
    .needs = true,
    .attention = encoder_set,
    .reads = READS_IN,
    .plan = encoder_plan,
    .forward = encoder_forward,
    .backward = encoder_backward,
    .cases = cases,
};
