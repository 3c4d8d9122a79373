/* SPDX-License-Identifier: MIT
 *
 * transformer_plan.c: parameters and memory of a transformer, in PyTorch's names and order, and what forward and
 * backward share. */
#include <stdio.h>

#include "comm/arena.h"
#include "layers/transformer/transformer.h"

static const char *const names[TRANSFORMER_ATTENTIONS] = {"self_attn", "multihead_attn"};

uint32_t transformer_site(const Transformer *self, size_t l, TransformerSite site) {
    return (uint32_t)(l * (self->A == 1 ? ENCODER_SITES : DECODER_SITES) + site);
}

/* ---- plan ------------------------------------------------------------------------------------------------ */

static Status plan_attention(Layer *layer, Plan *plan, size_t l, size_t a) {
    const TransformerConfig *config = layer->config;
    Transformer *self = layer->self;
    AttentionBlock *attention = &self->layer[l].attention[a];
    const size_t E = self->E;
    char name[64];
    snprintf(name, sizeof name, "layers.%zu.%s.", l, names[a]);
    *attention = (AttentionBlock){.names = ATTENTION_TORCH,
                                  .prefix = name,
                                  .heads = config->nhead,
                                  .d = E / config->nhead,
                                  .I = {E, E, E},
                                  .source = {0, a, a},
                                  .grain = self->grain,
                                  .key_grain = layer->in[a]->grain,
                                  .O = E,
                                  .bias = config->bias,
                                  .causal = config->causal && a == 0,
                                  .dropout = config->dropout,
                                  .site = transformer_site(self, l, a == 0 ? SITE_WEIGHTS : SITE_MEMORY_WEIGHTS)};
    TRY(attention_plan(attention, layer, plan));
    attention->prefix = NULL;
    return OK;
}

static Status plan_layer(Layer *layer, Plan *plan, size_t l) {
    const TransformerConfig *config = layer->config;
    Transformer *self = layer->self;
    TransformerLayer *own = &self->layer[l];
    char name[64];
    const size_t E = self->E, F = self->F;
    for (size_t a = 0; a < self->A; a++) TRY(plan_attention(layer, plan, l, a));
    const Init in = dense_init(E), out = dense_init(F);
    Init residual = out;
    residual.residual = true;
    own->linear1 = (Dense){.I = E, .O = F, .grain = self->grain};
    own->linear2 = (Dense){.I = F, .O = E, .grain = self->grain};
    snprintf(name, sizeof name, "layers.%zu.linear1.", l);
    TRY(dense_plan(&own->linear1, layer, plan, name, in, config->bias ? &in : NULL));
    snprintf(name, sizeof name, "layers.%zu.linear2.", l);
    TRY(dense_plan(&own->linear2, layer, plan, name, residual, config->bias ? &out : NULL));
    for (size_t i = 0; i <= self->A; i++) {
        own->norm[i] = (Norm){.F = E, .grain = self->grain, .eps = (real)config->layer_norm_eps};
        snprintf(name, sizeof name, "layers.%zu.norm%zu.", l, i + 1);
        TRY(norm_plan(&own->norm[i], layer, plan, name, config->bias));
    }
    return OK;
}

static void plan_layer_saved(const Layer *layer, Plan *plan, size_t l) {
    Transformer *self = layer->self;
    TransformerSaved *saved = &self->layer[l].saved;
    const size_t rows = plan_max_rows(plan, self->grain);
    for (size_t a = 0; a < self->A; a++) {
        attention_plan_saved(&self->layer[l].attention[a], plan, &saved->attention[a]);
        plan_saved(plan, &saved->mid[a], rows * self->E);
    }
    plan_saved(plan, &saved->hidden, rows * self->F);
    for (size_t i = 0; i <= self->A; i++) norm_plan_saved(&self->layer[l].norm[i], plan, &saved->norm[i]);
}

static void plan_memory(const Layer *layer, Plan *plan) {
    const TransformerConfig *config = layer->config;
    Transformer *self = layer->self;
    const size_t rows = plan_max_rows(plan, self->grain), E = self->E, F = self->F;
    for (size_t l = 0; l < (self->trains && !self->recomputes ? self->L : 1); l++) plan_layer_saved(layer, plan, l);
    for (size_t l = 0; l < (self->trains ? self->L : 1); l++)
        if (!self->norm_first || config->norm || l + 1 < self->L) plan_saved(plan, &self->layer[l].end, rows * E);
    plan_tmp(plan, &self->tmp.x, rows * E);
    plan_tmp(plan, &self->tmp.y, rows * E);
    if (self->activation == ACT_GELU) plan_tmp(plan, &self->tmp.active, rows * F);
    for (size_t a = 0; a < self->A; a++)
        attention_plan_scratch(&self->layer[0].attention[a], plan, &self->tmp.attention[a]);
    if (!self->trains) return;
    plan_tmp(plan, &self->tmp.z, rows * E);
    plan_tmp(plan, &self->tmp.g, rows * E);
    plan_tmp(plan, &self->tmp.wide, rows * (F > 3 * E ? F : 3 * E));
    for (size_t a = 1; a < self->A; a++)
        plan_tmp(plan, &self->tmp.attention[a].dkv,
                 plan_max_rows(plan, layer->in[a]->grain) * self->layer[0].attention[a].ldk);
}

static Status check_inputs(Layer *layer, const Plan *plan) {
    const TransformerConfig *config = layer->config;
    const Transformer *self = layer->self;
    const Value *in = layer->in[0];
    for (size_t i = 0; i < layer->inputs; i++)
        if (!grain_has_time(layer->in[i]->grain))
            return plan_fail(
                layer, "input",
                "'%s' has one row per sequence, attention reads one per step; name a layer before the select",
                layer->in[i]->name);
    if (self->A == 2 && layer->in[1]->features != self->E)
        return plan_fail(layer, "input", "'%s' has %zu features, '%s' %zu; make them equal with a linear layer",
                         layer->in[1]->name, layer->in[1]->features, in->name, self->E);
    if (self->E % config->nhead != 0)
        return plan_fail(layer, "nhead", "%zu heads cannot share the %zu features of '%s' evenly; use a divisor",
                         config->nhead, self->E, in->name);
    size_t reals;
    if (!size_multiply3(plan_max_rows(plan, self->grain), self->F, sizeof(double), &reals))
        return plan_fail(layer, "dim_feedforward", "%zu features for %zu steps overflow the address space; use fewer",
                         self->F, plan_max_rows(plan, self->grain));
    return OK;
}

Status transformer_plan(Layer *layer, Plan *plan) {
    const TransformerConfig *config = layer->config;
    Transformer *self = layer->self;
    self->grain = layer->in[0]->grain;
    self->E = layer->in[0]->features;
    self->F = config->dim_feedforward;
    self->L = config->num_layers;
    self->A = layer->inputs;
    self->trains = plan_trains(plan);
    self->recomputes = self->L > 1 && plan_recomputes_parts(plan);
    self->norm_first = config->norm_first;
    self->activation = config->activation == 0 ? ACT_RELU : ACT_GELU;
    self->dropout = config->dropout;
    TRY(check_inputs(layer, plan));
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

const char *transformer_looks_ahead(const void *config, size_t inputs, size_t i) {
    (void)inputs;
    if (i > 0) return "";
    return ((const TransformerConfig *)config)->causal ? NULL : "causal";
}

bool transformer_set(const Layer *layer, size_t i, AttentionSet *set) {
    const Transformer *self = layer->self;
    const size_t l = i / self->A, a = i % self->A;
    if (l >= self->L) return false;
    *set = attention_set(&self->layer[l].attention[a]);
    if (self->A == 1) snprintf(set->name, sizeof set->name, "layers.%zu", l);
    else snprintf(set->name, sizeof set->name, "layers.%zu.%s", l, names[a]);
    return true;
}

/* ---- what forward and backward share ----------------------------------------------------------------------- */

static DropoutKey transformer_key(const Layer *layer, const Pass *pass, size_t l, TransformerSite site) {
    return (DropoutKey){pass->seed, pass->step, layer->key, transformer_site(layer->self, l, site)};
}

void transformer_drop(const Layer *layer, const Pass *pass, size_t l, TransformerSite site, size_t features,
                      const real *x, real *y) {
    const Transformer *self = layer->self;
    const Rows *rows = &pass->rows;
    if (transformer_drops(self, pass))
        op_dropout(transformer_key(layer, pass, l, site), (real)self->dropout, rows->sequences,
                   rows_offset(rows, self->grain), rows->position, features, x, features, y, features);
    else if (x != y) op_copy(transformer_rows(self, pass) * features, x, y);
}

void transformer_drop_add(const Layer *layer, const Pass *pass, size_t l, TransformerSite site, const real *s,
                          real *y) {
    const Transformer *self = layer->self;
    const Rows *rows = &pass->rows;
    op_dropout_add(transformer_key(layer, pass, l, site), (real)self->dropout, rows->sequences,
                   rows_offset(rows, self->grain), rows->position, self->E, s, y);
}

const real *transformer_input(const Layer *layer, size_t rows, size_t l, real *memory) {
    const Transformer *self = layer->self;
    if (l == 0) return layer->in[0]->v;
    const real *end = transformer_end(layer, l - 1);
    if (self->norm_first) return end;
    norm_forward(&self->layer[l - 1].norm[self->A], rows, end, memory, &transformer_saved(self, l - 1)->norm[self->A]);
    return memory;
}

const real *transformer_active(const Layer *layer, const Pass *pass, size_t l) {
    const Transformer *self = layer->self;
    real *hidden = transformer_saved(self, l)->hidden, *active = self->tmp.active;
    if (self->activation == ACT_RELU) return hidden;
    op_activation(self->activation, transformer_rows(self, pass) * self->F, hidden, active);
    transformer_drop(layer, pass, l, SITE_HIDDEN, self->F, active, active);
    return active;
}
