/* SPDX-License-Identifier: MIT
 *
 * attention_block.c: see attention_block.h. */
#include "layers/attention/attention_block.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/arena.h"

/* ---- plan ---------------------------------------------------------------------------------------------- */

static Status plan_torch(AttentionBlock *block, Layer *layer, Plan *plan) {
    const size_t E = block->I[0];
    const Init zero = {.kind = INIT_ZERO},
               xavier = {.kind = INIT_UNIFORM, .scale = sqrt(6.0 / (double)(4 * E)), .gpt2 = true};
    char name[96];
    Dense *in = &block->in[0];
    in->I = E;
    in->O = 3 * E;
    in->grain = block->out.grain = block->grain;
    snprintf(name, sizeof name, "%sin_proj_", block->prefix);
    TRY(dense_plan(in, layer, plan, name, xavier, block->bias ? &zero : NULL));
    block->out.I = block->out.O = E;
    Init out = dense_init(E);
    out.residual = true;
    snprintf(name, sizeof name, "%sout_proj.", block->prefix);
    return dense_plan(&block->out, layer, plan, name, out, block->bias ? &zero : NULL);
}

static Status plan_free(AttentionBlock *block, Layer *layer, Plan *plan) {
    static const char *const names[] = {"query.", "key.", "value."};
    char name[96];
    for (size_t i = 0; i < ATTENTION_INPUTS; i++) {
        Dense *in = &block->in[i];
        in->I = block->I[i];
        in->O = block->P;
        in->grain = i == 0 ? block->grain : block->key_grain;
        in->idle_bias = i == 1;
        const Init init = dense_init(in->I);
        snprintf(name, sizeof name, "%s%s", block->prefix, names[i]);
        TRY(dense_plan(in, layer, plan, name, init, block->bias ? &init : NULL));
    }
    if (!block->O) return OK;
    block->out.I = block->P;
    block->out.O = block->O;
    block->out.grain = block->grain;
    Init init = dense_init(block->P);
    init.residual = true;
    snprintf(name, sizeof name, "%sfc.", block->prefix);
    return dense_plan(&block->out, layer, plan, name, init, block->bias ? &init : NULL);
}

static Status plan_carried(AttentionBlock *block, const Layer *layer, Plan *plan) {
    size_t reals;
    block->steps = plan_max_length(plan, block->grain);
    if (!size_multiply3(block->steps, 2 * block->P, sizeof(double), &reals) ||
        !size_multiply(reals, plan_max_sequences(plan), &reals))
        return plan_fail(layer, NULL, "the keys and values of %zu steps overflow the address space", block->steps);
    plan_past(plan, &block->state.kv, block->grain, 2 * block->P);
    plan_state(plan, &block->state.past, 1);
    plan_index(plan, &block->index.query, plan_max_rows(plan, block->grain) + 1);
    plan_index(plan, &block->index.key, plan_max_rows(plan, block->grain) + 1);
    plan_index(plan, &block->index.end, plan_max_rows(plan, block->grain) + 1);
    return OK;
}

static bool fits(const AttentionBlock *block, const Plan *plan) {
    size_t queries = plan_max_rows(plan, block->grain), keys = plan_max_rows(plan, block->key_grain), reals;
    return size_multiply3(block->heads, block->d, 3, &reals) && reals <= SIZE_MAX - PANEL &&
           size_multiply3(reals + PANEL, queries > keys ? queries : keys, sizeof(double), &reals) &&
           attention_scratch(block->d) <= SIZE_MAX / sizeof(double) / plan_threads(plan);
}

Status attention_plan(AttentionBlock *block, Layer *layer, Plan *plan) {
    if (!fits(block, plan))
        return plan_fail(
            layer, NULL,
            "%zu heads of %zu features for %zu steps overflow the address space; make the layer or the batch smaller",
            block->heads, block->d, plan_max_rows(plan, block->grain));
    block->P = block->heads * block->d;
    block->together = block->source[1] == block->source[0];
    block->pad = block->together ? 0 : block->P % PANEL;
    block->ldq = block->together ? 3 * block->P : block->P;
    block->ldk = block->together ? 3 * block->P : block->pad + 2 * block->P;
    block->threads = plan_threads(plan);
    block->scale = (real)(1 / sqrt((double)block->d));
    block->layer = layer->key;
    if (plan_carries(plan, block->grain) && block->causal) TRY(plan_carried(block, layer, plan));
    /* A past of the queries alone: the keys belong to a stream that does not go on. */
    block->lasts = plan_carries(plan, block->grain) && block->key_grain != block->grain;
    if (block->lasts) plan_lasting(plan, &block->memory, plan_max_rows(plan, block->key_grain) * block->ldk);
    return block->names == ATTENTION_TORCH ? plan_torch(block, layer, plan) : plan_free(block, layer, plan);
}

void attention_plan_saved(const AttentionBlock *block, Plan *plan, AttentionSaved *saved) {
    size_t rows = plan_max_rows(plan, block->grain);
    plan_saved(plan, &saved->q, rows * block->ldq);
    if (!block->together && !block->lasts)
        plan_saved(plan, &saved->kv, plan_max_rows(plan, block->key_grain) * block->ldk);
    if (block->O) plan_saved(plan, &saved->context, rows * block->P);
    plan_saved(plan, &saved->norm, rows * 2 * block->heads);
}

void attention_plan_scratch(const AttentionBlock *block, Plan *plan, AttentionWork *work) {
    plan_tmp(plan, &work->scratch, block->threads * attention_scratch(block->d));
    if (plan_trains(plan)) plan_tmp(plan, &work->delta, plan_max_rows(plan, block->grain) * block->heads);
}

void attention_plan_gradients(const AttentionBlock *block, Plan *plan, AttentionWork *work) {
    size_t rows = plan_max_rows(plan, block->grain);
    plan_tmp(plan, &work->dq, rows * block->ldq);
    if (!block->together) plan_tmp(plan, &work->dkv, plan_max_rows(plan, block->key_grain) * block->ldk);
    if (block->O) plan_tmp(plan, &work->dcontext, rows * block->P);
}

/* ---- parts of query, key and value that read the same input ---------------------------------------------- */

typedef struct Group {
    size_t first, end; /* of 0 (query), 1 (key), 2 (value) */
    size_t input;
} Group;

/* Where column c of Q, K, V side by side lies in row 0 of the matrices that hold them. */
static real *column_of(const AttentionBlock *block, real *q, real *kv, size_t group, size_t c) {
    return block->together || group == 0 ? q + c : kv + block->pad + c - block->P;
}
static size_t ld_of(const AttentionBlock *block, size_t group) {
    return group == 0 ? block->ldq : block->ldk;
}
static Grain grain_of(const AttentionBlock *block, size_t group) {
    return group == 0 ? block->grain : block->key_grain;
}
/* The same of what forward wrote. */
static real *projected(const AttentionBlock *block, const AttentionSaved *saved, size_t group, size_t c) {
    return column_of(block, saved->q, block->lasts ? block->memory : saved->kv, group, c);
}
/* Does the pass make this part? */
static bool made(const AttentionBlock *block, const Pass *pass, size_t group) {
    return !(block->lasts && pass->decodes && group > 0);
}

/* The group that ends before part `end`, from the last to the first. */
static Group group_before(const AttentionBlock *block, size_t end) {
    size_t first = end - 1;
    while (first > 0 && block->source[first - 1] == block->source[end - 1]) first--;
    return (Group){first, end, block->source[first]};
}

#define EACH_GROUP(block)                                                                                              \
    for (Group group = group_before(block, ATTENTION_INPUTS); group.end > 0;                                           \
         group = group.first > 0 ? group_before(block, group.first) : (Group){0})

/* ---- forward ------------------------------------------------------------------------------------------- */

/* (1) with in_proj_weight: a packed operand begins at a multiple of 16 columns, so a group writes up to 15
 * columns of the one before, which comes later and writes them again, or of the padding. */
static void project_torch(const AttentionBlock *block, const Pass *pass, const real *const x[],
                          const AttentionSaved *saved) {
    const Dense *in = &block->in[0];
    EACH_GROUP(block) {
        const size_t column = group.first * block->P / PANEL * PANEL;
        if (!made(block, pass, group.first)) continue;
        gemm(&(Gemm){.m = rows_of(&pass->rows, grain_of(block, group.first)),
                     .n = group.end * block->P - column,
                     .k = in->I,
                     .a = x[group.input],
                     .lda = in->I,
                     .b = in->forward.v + packed_count(in->I, column),
                     .c = projected(block, saved, group.first, column),
                     .ldc = ld_of(block, group.first),
                     .bias = in->bias ? in->bias->v + column : NULL});
    }
}

static Attention attention_of(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved,
                              const AttentionWork *work) {
    const Rows *rows = &pass->rows;
    const size_t P = block->P;
    return (Attention){.sequences = rows_sequences(rows, block->key_grain),
                       .q_offset = rows_offset_of(rows, block->grain, block->key_grain),
                       .k_offset = rows_offset(rows, block->key_grain),
                       .heads = block->heads,
                       .d = block->d,
                       .scale = block->scale,
                       .causal = block->causal,
                       .q = saved->q,
                       .k = projected(block, saved, 1, P),
                       .v = projected(block, saved, 1, 2 * P),
                       .ldq = block->ldq,
                       .ldk = block->ldk,
                       .ldv = block->ldk,
                       .ldo = P,
                       .norm = pass->backward ? saved->norm : NULL,
                       .p = pass->training ? (real)block->dropout : 0,
                       .key = {pass->seed, pass->step, block->layer, block->site},
                       .position = rows->position,
                       .scratch = work->scratch,
                       .threads = block->threads};
}

/* The pass's keys and values behind those of the passes before. */
static void append_past(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved) {
    const size_t *offset = rows_offset(&pass->rows, block->grain), P = block->P;
    const real *kv = projected(block, saved, 1, P);
    for (size_t b = 0; b < pass->rows.sequences; b++) {
        const size_t past = (size_t)block->state.past[b], T = offset[b + 1] - offset[b];
        real *to = block->state.kv + (b * block->steps + past) * 2 * P;
        for (size_t t = 0; t < T; t++) memcpy(to + t * 2 * P, kv + (offset[b] + t) * block->ldk, 2 * P * sizeof *to);
        block->state.past[b] = (real)(past + T);
    }
}

/* (2) where there is a past: each row by itself, over all keys up to its own. */
static void attend_past(const AttentionBlock *block, const Pass *pass, const Attention *whole) {
    const size_t *offset = rows_offset(&pass->rows, block->grain), P = block->P;
    Attention each = *whole;
    for (size_t b = 0; b < pass->rows.sequences; b++)
        for (size_t row = offset[b]; row < offset[b + 1]; row++) {
            block->index.query[row] = row;
            block->index.key[row] = b * block->steps;
            block->index.end[row] = b * block->steps + (size_t)block->state.past[b] - (offset[b + 1] - row) + 1;
        }
    each.sequences = block->index.query[offset[pass->rows.sequences]] = offset[pass->rows.sequences];
    each.q_offset = block->index.query;
    each.k_offset = block->index.key;
    each.k_end = block->index.end;
    each.causal = false;
    each.norm = NULL;
    each.k = block->state.kv;
    each.v = each.k + P;
    each.ldk = each.ldv = 2 * P;
    op_attention(&each);
}

static bool has_past(const AttentionBlock *block, const Pass *pass) {
    bool past = false;
    for (size_t b = 0; b < pass->rows.sequences; b++) past |= block->state.past[b] > 0;
    return past;
}

void attention_forward(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved,
                       const AttentionWork *work, const real *const x[], real *y) {
    const size_t P = block->P;
    if (block->names == ATTENTION_TORCH) {
        project_torch(block, pass, x, saved); /* (1) */
    } else {
        for (size_t i = 0; i < ATTENTION_INPUTS; i++)
            if (made(block, pass, i))
                dense_forward(&block->in[i], rows_of(&pass->rows, grain_of(block, i)), x[block->source[i]], block->I[i],
                              projected(block, saved, i, i * P), ld_of(block, i));
    }
    Attention attention = attention_of(block, pass, saved, work);
    attention.out = block->O ? saved->context : y;
    const bool carries = pass->carry_state && block->steps > 0, past = carries && has_past(block, pass);
    if (carries) append_past(block, pass, saved);
    if (past) attend_past(block, pass, &attention); /* (2) */
    else op_attention(&attention);
    if (!block->O) return;
    Residual residual = {block->O, work->residual, y};
    dense_forward_then(&block->out, rows_of(&pass->rows, block->grain), saved->context, y,
                       work->residual ? residual_add : NULL, &residual); /* (3) */
}

AttentionSet attention_set(const AttentionBlock *block) {
    const double whole = 4 * (double)block->heads * (double)block->d;
    return (AttentionSet){.heads = block->heads,
                          .query = block->grain,
                          .key = block->key_grain,
                          .flops = block->causal ? whole / 2 : whole};
}

void attention_show(const AttentionBlock *block, const Layer *layer, const Pass *pass, const AttentionSaved *saved,
                    const AttentionWork *work, size_t i) {
    if (!pass->look) return;
    const Attention attention = attention_of(block, pass, saved, work);
    for (size_t b = 0; b < attention.sequences; b++)
        for (size_t head = 0; head < block->heads; head++) {
            op_attention_weights(&attention, b, head, pass->look->w);
            pass->look->take(pass->look, layer, i, b, head, attention.q_offset[b + 1] - attention.q_offset[b],
                             attention.k_offset[b + 1] - attention.k_offset[b]);
        }
}

/* ---- backward ------------------------------------------------------------------------------------------ */

typedef struct InLeaf {
    const AttentionBlock *block;
    const real *const *x;
    const AttentionWork *work;
} InLeaf;

/* dQ, dK or dV from row `first` on. */
static const real *gradient_of(const AttentionBlock *block, const AttentionWork *work, size_t group, size_t first) {
    return column_of(block, work->dq, work->dkv, group, group * block->P) + first * ld_of(block, group);
}

static void in_weight_leaf(void *context, const Pass *pass, size_t s, real *dW) {
    const InLeaf *leaf = context;
    const AttentionBlock *block = leaf->block;
    const size_t P = block->P, I = block->I[0];
    EACH_GROUP(block) {
        const Grain grain = grain_of(block, group.first);
        const size_t m = (group.end - group.first) * P, first = shard_row(&pass->rows, grain, s),
                     end = shard_row(&pass->rows, grain, s + 1);
        gemm_tn(&(GemmTn){.m = m,
                          .n = I,
                          .k = end - first,
                          .a = gradient_of(block, leaf->work, group.first, first),
                          .lda = ld_of(block, group.first),
                          .order = in_order(m),
                          .b = leaf->x[group.input] + first * I,
                          .ldb = I,
                          .c = dW + group.first * P * I,
                          .ldc = I});
    }
}

static void in_bias_leaf(void *context, const Pass *pass, size_t s, real *db) {
    const InLeaf *leaf = context;
    const AttentionBlock *block = leaf->block;
    const size_t P = block->P, parts = block->together ? 3 : 1;
    for (size_t i = 0; i < ATTENTION_INPUTS; i += parts) {
        const Grain grain = grain_of(block, i);
        const size_t first = shard_row(&pass->rows, grain, s), end = shard_row(&pass->rows, grain, s + 1);
        column_sums(gradient_of(block, leaf->work, i, first), ld_of(block, i), in_order(parts * P), end - first,
                    db + i * P, false);
    }
    op_zero(P, db + P);
}

/* (1') with in_proj_weight */
static void backward_torch(const AttentionBlock *block, const Pass *pass, const real *const x[],
                           const AttentionWork *work, real *const dx[], const bool add[]) {
    const Dense *in = &block->in[0];
    const size_t P = block->P;
    InLeaf leaf = {block, x, work};
    grad_shards(pass, in->weight, in_weight_leaf, &leaf);
    if (in->bias) grad_shards(pass, in->bias, in_bias_leaf, &leaf);
    EACH_GROUP(block) {
        if (dx[group.input])
            gemm(&(Gemm){.m = rows_of(&pass->rows, grain_of(block, group.first)),
                         .n = in->I,
                         .k = (group.end - group.first) * P,
                         .a = gradient_of(block, work, group.first, 0),
                         .lda = ld_of(block, group.first),
                         .b = in->backward.v + group.first * P * PANEL,
                         .b_k = 3 * P,
                         .c = dx[group.input],
                         .ldc = in->I,
                         .accumulate = add[group.input]});
    }
}

/* (1') with three matrices */
static void backward_free(const AttentionBlock *block, const Pass *pass, const real *const x[],
                          const AttentionWork *work, real *const dx[], const bool add[]) {
    for (size_t i = 0; i < ATTENTION_INPUTS; i++)
        dense_gradients(&block->in[i], pass, gradient_of(block, work, i, 0), ld_of(block, i), x[block->source[i]],
                        block->I[i]);
    for (size_t i = 0; i < ATTENTION_INPUTS; i++) {
        const size_t from = block->source[i];
        const bool again = i > 0 && from == block->source[i - 1];
        if (dx[from])
            dense_input_gradient(&block->in[i], rows_of(&pass->rows, grain_of(block, i)),
                                 gradient_of(block, work, i, 0), ld_of(block, i), dx[from], block->I[i],
                                 add[from] || again);
    }
}

void attention_backward(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved,
                        const AttentionWork *work, const real *const x[], const real *y, const real *dy,
                        real *const dx[], const bool add[]) {
    const size_t rows = rows_of(&pass->rows, block->grain), P = block->P;
    AttentionBackward backward = {.forward = attention_of(block, pass, saved, work),
                                  .dout = dy,
                                  .lddo = P,
                                  .dq = work->dq,
                                  .dk = column_of(block, work->dq, work->dkv, 1, P),
                                  .dv = column_of(block, work->dq, work->dkv, 1, 2 * P),
                                  .lddq = block->ldq,
                                  .lddk = block->ldk,
                                  .lddv = block->ldk,
                                  .delta = work->delta};
    backward.forward.out = block->O ? saved->context : (real *)(uintptr_t)y;
    if (block->O) {
        dense_gradients(&block->out, pass, dy, block->O, saved->context, P); /* (3') */
        dense_input_gradient(&block->out, rows, dy, block->O, work->dcontext, P, false);
        backward.dout = work->dcontext;
    }
    op_attention_backward(&backward); /* (2') */
    if (block->names == ATTENTION_TORCH) backward_torch(block, pass, x, work, dx, add);
    else backward_free(block, pass, x, work, dx, add);
}

void attention_weights(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved,
                       const AttentionWork *work, size_t sequence, size_t head, real *w) {
    const Attention attention = attention_of(block, pass, saved, work);
    op_attention_weights(&attention, sequence, head, w);
}
