/* SPDX-License-Identifier: MIT
 *
 * recurrent_start.c: what sequences start from, h_0 and an lstm's c_0, each [L D, H] in PyTorch's order.
 *
 *   learned   h_0 is a parameter that all sequences share        dh_0 = sum over sequences of dh_0[b]
 *   context   h_0[b] = W_h context[b] + b_h, c_0 by W_c, b_c      dcontext = dh_0 W_h + dc_0 W_c,
 *                                                                dW_h = dh_0^T context, db_h = sum dh_0
 *
 *   context [B, C]   h_0, c_0 [L D, H], zeros at first   init_h.weight, init_c.weight [L D H, C]
 *   init_h.bias, init_c.bias [L D H]   v, g [B, L D H]
 *
 * Where passes carry their state on, a sequence starts so in its first pass alone; later ones go on from
 * the state, and no gradient flows from them into the start. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/arena.h"
#include "layers/ops/ops.h"
#include "layers/recurrent/recurrent.h"

static const char *const state_name[] = {"h", "c"};

/* ---- plan ------------------------------------------------------------------------------------------ */

static Status plan_learned(Layer *layer, Plan *plan) {
    Recurrent *self = layer->self;
    Start *start = &self->start;
    char name[16];
    for (size_t k = 0; k < start->states; k++) {
        snprintf(name, sizeof name, "%s_0", state_name[k]);
        TRY(plan_param(plan, layer, &start->learned[k], name, (Init){.kind = INIT_ZERO}, 2, self->L * self->D,
                       self->H));
    }
    return OK;
}

static Status find_context(Layer *layer, Plan *plan) {
    if (layer->inputs == 1) {
        layer->in[1] = plan_context(plan);
        if (!layer->in[1])
            return plan_fail(layer, "initial_state",
                             "context needs one row of numbers per sequence, and the data has no context; name a value "
                             "as second input (`input: [emb, encoder.h_n]`), or use learned or zeros");
        layer->inputs = 2;
    }
    const Value *context = layer->in[1];
    if (context->grain == PER_SEQUENCE) return OK;
    return plan_fail(layer, "input",
                     "'%s' has more than one row per sequence, the initial state is made from one; put a `select` "
                     "behind it",
                     context->name);
}

static Status plan_linear(Layer *layer, Plan *plan) {
    Start *start = &((Recurrent *)layer->self)->start;
    TRY(find_context(layer, plan));
    size_t C = layer->in[1]->features;
    Init init = {.kind = INIT_UNIFORM, .scale = C ? 1 / sqrt((double)C) : 0, .gpt2 = true};
    char name[24];
    for (size_t k = 0; k < start->states; k++) {
        snprintf(name, sizeof name, "init_%s.weight", state_name[k]);
        TRY(plan_param(plan, layer, &start->weight[k], name, init, 2, start->S, C));
        snprintf(name, sizeof name, "init_%s.bias", state_name[k]);
        TRY(plan_param(plan, layer, &start->bias[k], name, init, 1, start->S, 0));
        TRY(plan_packed(plan, &start->forward[k], start->weight[k], PACK_TRANSPOSED, in_order(start->S)));
        start->forward[k].per_sequence = true;
        plan_tmp(plan, &start->v[k], plan_max_sequences(plan) * start->S);
        if (!plan_trains(plan)) continue;
        TRY(plan_packed(plan, &start->backward[k], start->weight[k], PACK_PLAIN, in_order(start->S)));
        start->backward[k].per_sequence = true;
    }
    return OK;
}

Status recurrent_start_plan(Layer *layer, Plan *plan) {
    const RecurrentConfig *config = layer->config;
    Recurrent *self = layer->self;
    Start *start = &self->start;
    *start = (Start){.kind = (InitialState)config->initial_state,
                     .states = self->cell->carries_c ? 2 : 1,
                     .S = self->L * self->features};
    if (layer->inputs == 2 && start->kind != STATE_CONTEXT)
        return plan_fail(layer, "input",
                         "the second input is what the initial state is made from; set `initial_state: context` or "
                         "leave '%s' out",
                         layer->in[1]->name);
    size_t reals;
    if (!size_multiply3(plan_max_sequences(plan) + 1, start->S, 2 * sizeof(real), &reals))
        return plan_fail(layer, "hidden_size", "%zu numbers of state for each of %zu sequences overflow; use fewer",
                         start->S, plan_max_sequences(plan));
    if (start->kind == STATE_ZEROS) return OK;
    if (start->kind == STATE_LEARNED) TRY(plan_learned(layer, plan));
    else TRY(plan_linear(layer, plan));
    plan_state(plan, &start->begun, 1);
    if (!plan_trains(plan)) return OK;
    plan_saved(plan, &start->went_on, plan_max_sequences(plan));
    for (size_t k = 0; k < start->states; k++) plan_tmp(plan, &start->g[k], plan_max_sequences(plan) * start->S);
    return OK;
}

/* ---- forward --------------------------------------------------------------------------------------- */

static bool all_begun(const Start *start, size_t sequences) {
    for (size_t b = 0; b < sequences; b++)
        if (start->begun[b] == 0) return false;
    return true;
}

void recurrent_start_forward(Layer *layer, const Pass *pass) {
    const Start *start = &((Recurrent *)layer->self)->start;
    size_t B = pass->rows.sequences;
    if (start->kind == STATE_ZEROS) return;
    const size_t last = start->states - 1;
    pass_need(pass, start->kind == STATE_LEARNED ? start->learned[last] : start->bias[last]);
    for (size_t b = 0; b < B && pass->backward; b++) start->went_on[b] = pass->carry_state ? start->begun[b] : 0;
    if (start->kind != STATE_CONTEXT || (pass->carry_state && all_begun(start, B))) return;
    const Value *context = layer->in[1];
    for (size_t k = 0; k < start->states; k++)
        gemm(&(Gemm){.m = B,
                     .n = start->S,
                     .k = context->features,
                     .a = context->v,
                     .lda = context->features,
                     .b = start->forward[k].v,
                     .c = start->v[k],
                     .ldc = start->S,
                     .bias = start->bias[k]->v});
}

const real *recurrent_start_of(const Recurrent *self, const Pass *pass, size_t stream, size_t k, size_t b) {
    const Start *start = &self->start;
    const Stream *s = &self->stream[stream];
    if (start->kind == STATE_ZEROS || (pass->carry_state && start->begun[b] > 0))
        return (k == 0 ? s->state.h : s->state.c) + b * self->H;
    const real *first = start->kind == STATE_LEARNED ? start->learned[k]->v : start->v[k] + b * start->S;
    return first + stream * self->H;
}

void recurrent_start_done(Layer *layer, const Pass *pass) {
    const Start *start = &((Recurrent *)layer->self)->start;
    if (start->kind == STATE_ZEROS || !pass->carry_state) return;
    for (size_t b = 0; b < pass->rows.sequences; b++) start->begun[b] = 1;
}

/* ---- backward -------------------------------------------------------------------------------------- */

void recurrent_start_take(const Recurrent *self, const Pass *pass, size_t stream, const Block *block) {
    const Start *start = &self->start;
    (void)pass;
    for (size_t k = 0; k < start->states; k++) {
        const real *from = k == 0 ? block->dh : block->dc;
        for (size_t i = 0; i < block->count; i++) {
            size_t b = block->sequence[i];
            real *g = start->g[k] + b * start->S + stream * self->H;
            if (start->went_on[b] > 0) memset(g, 0, self->H * sizeof *g);
            else memcpy(g, from + i * self->ldblock, self->H * sizeof *g);
        }
    }
}

typedef struct StartLeaf {
    const Start *start;
    const Value *context;
    size_t k;
} StartLeaf;

/* Of h_0, and of a bias: the sum over the shard's sequences. */
static void sum_leaf(void *of, const Pass *pass, size_t s, real *g) {
    const StartLeaf *leaf = of;
    size_t first = shard_row(&pass->rows, PER_SEQUENCE, s), end = shard_row(&pass->rows, PER_SEQUENCE, s + 1);
    size_t S = leaf->start->S;
    column_sums(leaf->start->g[leaf->k] + first * S, S, in_order(S), end - first, g, false);
}

static void weight_leaf(void *of, const Pass *pass, size_t s, real *g) {
    const StartLeaf *leaf = of;
    size_t first = shard_row(&pass->rows, PER_SEQUENCE, s), end = shard_row(&pass->rows, PER_SEQUENCE, s + 1);
    size_t S = leaf->start->S, C = leaf->context->features;
    gemm_tn(&(GemmTn){.m = S,
                      .n = C,
                      .k = end - first,
                      .a = leaf->start->g[leaf->k] + first * S,
                      .lda = S,
                      .order = in_order(S),
                      .b = leaf->context->v + first * C,
                      .ldb = C,
                      .c = g,
                      .ldc = C});
}

void recurrent_start_backward(Layer *layer, const Pass *pass) {
    const Start *start = &((Recurrent *)layer->self)->start;
    for (size_t k = 0; k < start->states && start->kind != STATE_ZEROS; k++) {
        StartLeaf leaf = {start, layer->in[1], k};
        if (start->kind == STATE_LEARNED) {
            grad_shards(pass, start->learned[k], sum_leaf, &leaf);
            continue;
        }
        if (layer->in[1]->g)
            gemm(&(Gemm){.m = pass->rows.sequences,
                         .n = layer->in[1]->features,
                         .k = start->S,
                         .a = start->g[k],
                         .lda = start->S,
                         .b = start->backward[k].v,
                         .c = layer->in[1]->g,
                         .ldc = layer->in[1]->features,
                         .accumulate = k > 0});
        grad_shards(pass, start->weight[k], weight_leaf, &leaf);
        grad_shards(pass, start->bias[k], sum_leaf, &leaf);
    }
}
