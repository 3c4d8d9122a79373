/* SPDX-License-Identifier: MIT
 *
 * recurrent_plan.c: parameters, outputs and memory of a recurrent layer, in PyTorch's names and order. */
#include <math.h>
#include <stdio.h>

#include "comm/arena.h"
#include "layers/recurrent/recurrent.h"

/* A block's dgates [rows, GP] should stay in a core's own cache beside the weights that stream by. */
enum { BLOCK_BYTES = 256 * 1024, BLOCK_MIN = 8, BLOCK_MAX = 64, GROUP_COLUMNS = 192 };

static size_t at_most(size_t a, size_t b) {
    return a < b ? a : b;
}
static size_t at_least(size_t a, size_t b) {
    return a > b ? a : b;
}

static Status plan_sizes(Layer *layer, Plan *plan, const Cell *cell) {
    Recurrent *self = layer->self;
    const RecurrentConfig *config = layer->config;
    const Value *in = layer->in[0];
    if (in->vocabulary > 0)
        return plan_fail(layer, "input",
                         "'%s' holds ids, a recurrent layer reads numbers; put an embedding or a one_hot in front",
                         in->name);
    if (!grain_has_time(in->grain))
        return plan_fail(layer, "input", "'%s' has one row per sequence, a recurrent layer reads one per step",
                         in->name);

    self->cell = cell;
    self->I = in->features;
    self->H = config->hidden_size;
    self->P = panel_round(self->H);
    self->L = config->num_layers;
    self->D = config->bidirectional ? 2 : 1;
    self->features = self->D * self->H;
    self->gates = cell->gates * self->P;
    self->order = (Interleave){cell->gates, self->H};
    self->dropout = config->dropout;
    self->has_bias = config->bias;
    self->trains = plan_trains(plan);
    self->recomputes = self->L > 1 && plan_recomputes_parts(plan);
    self->threads = plan_threads(plan);

    const size_t most = plan_max_rows(plan, in->grain);
    size_t reals;
    if (!size_multiply3(most, self->gates, 2 * sizeof(real), &reals))
        return plan_fail(layer, "hidden_size", "%zu units for %zu steps are more than memory can address; use fewer",
                         self->H, most);

    size_t rows = BLOCK_BYTES / sizeof(real) / self->gates / BLOCK_MIN * BLOCK_MIN;
    rows = at_most(at_least(rows, BLOCK_MIN), BLOCK_MAX);
    self->block_rows = at_least(at_most(rows, plan_max_sequences(plan)), 1);
    /* Leading dimensions that are no power of two keep a block's rows out of each other's cache sets. */
    self->ldblock = self->P + PANEL;
    self->lddgates = self->gates + PANEL;
    self->group = GROUP_COLUMNS / cell->gates / PANEL * PANEL;
    size_t forward = 3 * self->ldblock + self->group * cell->gates, backward = 2 * self->ldblock + self->lddgates;
    self->scratch = self->block_rows * at_least(forward, backward);
    return OK;
}

/* About: see blocks_deal. */
static size_t rows_in_a_block(const Recurrent *self, size_t sequences) {
    const size_t share = (sequences * self->D + self->threads - 1) / self->threads;
    return at_least(at_most(self->block_rows, share), 1);
}

static Status plan_stream(Layer *layer, Plan *plan, size_t l, size_t d) {
    Recurrent *self = layer->self;
    Stream *stream = &self->stream[l * self->D + d];
    size_t G = self->cell->gates, H = self->H, I = l > 0 ? self->features : self->I;
    const Init uniform = {.kind = INIT_UNIFORM, .scale = 1.0 / sqrt((double)H)};
    const Init weight = {.kind = INIT_UNIFORM, .scale = uniform.scale, .gpt2 = true};
    const char *suffix = d > 0 ? "_reverse" : "";
    char name[64];
    stream->reverse = d > 0;
    stream->column = d * H;

    snprintf(name, sizeof name, "weight_ih_l%zu%s", l, suffix);
    TRY(plan_param(plan, layer, &stream->p.weight_ih, name, weight, 2, G * H, I));
    snprintf(name, sizeof name, "weight_hh_l%zu%s", l, suffix);
    TRY(plan_param(plan, layer, &stream->p.weight_hh, name, weight, 2, G * H, H));
    if (self->has_bias) {
        snprintf(name, sizeof name, "bias_ih_l%zu%s", l, suffix);
        TRY(plan_param(plan, layer, &stream->p.bias_ih, name, uniform, 1, G * H, 0));
        snprintf(name, sizeof name, "bias_hh_l%zu%s", l, suffix);
        TRY(plan_param(plan, layer, &stream->p.bias_hh, name, uniform, 1, G * H, 0));
    }

    TRY(plan_packed(plan, &stream->ih, stream->p.weight_ih, PACK_TRANSPOSED, self->order));
    TRY(plan_packed(plan, &stream->hh, stream->p.weight_hh, PACK_TRANSPOSED, self->order));
    stream->hh.rows_at_once = rows_in_a_block(self, plan_max_sequences(plan));
    plan_state(plan, &stream->state.h, H);
    if (self->cell->carries_c) plan_state(plan, &stream->state.c, H);
    if (!self->trains) return OK;

    size_t rows = plan_max_rows(plan, layer->in[0]->grain), sequences = plan_max_sequences(plan);
    TRY(plan_packed(plan, &stream->ih_back, stream->p.weight_ih, PACK_PLAIN, self->order));
    TRY(plan_packed(plan, &stream->hh_back, stream->p.weight_hh, PACK_PLAIN, self->order));
    stream->hh_back.rows_at_once = stream->hh.rows_at_once;
    const bool room = recurrent_room(self, l) == l;
    if (room) plan_saved(plan, &stream->saved.gates, rows * self->gates);
    if (room && self->cell->extra) plan_saved(plan, &stream->saved.extra, rows * self->P);
    plan_saved(plan, &stream->initial.h, sequences * H);
    if (self->cell->carries_c) plan_saved(plan, &stream->initial.c, sequences * H);
    return OK;
}

static void plan_memory(const Layer *layer, Plan *plan) {
    Recurrent *self = layer->self;
    size_t rows = plan_max_rows(plan, layer->in[0]->grain), sequences = plan_max_sequences(plan);
    if (self->trains) {
        for (size_t l = 0; l + 1 < self->L; l++) {
            plan_saved(plan, &self->saved.h[l], rows * self->features);
            if (self->dropout > 0 && recurrent_room(self, l) == l)
                plan_saved(plan, &self->saved.dropped[l], rows * self->features);
        }
        for (size_t d = 0; d < self->D; d++) plan_index(plan, &self->index.before[d], rows);
        plan_tmp(plan, &self->tmp.dbias, self->cell->gates * self->H);
        if (self->L > 1) plan_tmp(plan, &self->tmp.dx, rows * self->features);
    } else {
        for (size_t d = 0; d < self->D; d++) plan_tmp(plan, &self->tmp.gates[d], rows * self->gates);
        for (size_t l = 0; l + 1 < self->L && l < 2; l++) plan_tmp(plan, &self->tmp.h[l], rows * self->features);
    }
    plan_tmp(plan, &self->tmp.bias, self->D * self->gates);
    plan_tmp(plan, &self->tmp.bias_inside, self->D * self->gates);
    plan_tmp(plan, &self->tmp.scratch, self->threads * self->scratch);
    plan_index(plan, &self->index.order, sequences);
    plan_index(plan, &self->index.sorted, sequences);
    plan_index(plan, &self->index.count, plan_max_length(plan, layer->in[0]->grain) + 2);
    plan_index(plan, &self->index.row, self->threads * 2 * self->block_rows);
}

Status recurrent_plan(Layer *layer, Plan *plan, const Cell *cell) {
    Recurrent *self = layer->self;
    TRY(plan_sizes(layer, plan, cell));
    for (size_t l = 0; l < self->L; l++)
        for (size_t d = 0; d < self->D; d++) TRY(plan_stream(layer, plan, l, d));
    TRY(recurrent_start_plan(layer, plan));
    plan_memory(layer, plan);
    plan_output(plan, layer, "", layer->in[0]->grain, self->features);
    plan_output(plan, layer, "h_n", PER_SEQUENCE, self->L * self->features);
    if (cell->carries_c) plan_output(plan, layer, "c_n", PER_SEQUENCE, self->L * self->features);
    return OK;
}

const char *recurrent_looks_ahead(const void *config, size_t inputs, size_t i) {
    (void)inputs;
    return i == 0 && ((const RecurrentConfig *)config)->bidirectional ? "bidirectional" : NULL;
}

const char *recurrent_advice(const Layer *layer) {
    const RecurrentConfig *config = layer->config;
    if (config->dropout > 0 && config->num_layers == 1)
        return "dropout acts between recurrent layers, so with num_layers: 1 it does nothing; put a dropout layer "
               "behind instead";
    return NULL;
}
