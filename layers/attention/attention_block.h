/* SPDX-License-Identifier: MIT
 *
 * attention_block.h: attention with its projections, what multi_head_attention, self_attention and the
 * transformers share. P = heads * d; query, key and value may be one value or several. Keys and values have
 * equal rows, Rk; where they come from another value than the queries, those may be steps of another stream.
 *
 *   forward    Q = x_q W_q^T + b_q, K and V alike                              (1)
 *              C = attention(Q, K, V), head by head: ops/attention.h           (2)
 *              y = C W_o^T + b_o, or C itself                                  (3)
 *   backward   dC = dy W_o, dW_o = dy^T C, db_o = sum of dy                    (3')
 *              dQ, dK, dV from dC                                              (2')
 *              dW_q = dQ^T x_q, db_q = sum of dQ, dx_q = dQ W_q, K and V alike (1')
 *              but db_k = 0: what is added to all keys adds the same to all scores of a query
 *
 *   x_q [R, I]   x_k, x_v [Rk, I]   saved.q, tmp.dq [R, 3 P]: Q, K, V side by side; of several values [R, P], and
 *   K, V in saved.kv, tmp.dkv [Rk, 2 P]   saved.context [R, P]: C   saved.norm [heads, R, 2]
 *   Where a decoder asks an encoder and model_decode will be called, K and V last in memory [Rk, 2 P] instead of
 *   saved.kv, and are not made again there.
 *   W_q, W_k, W_v [P, I]: one matrix in_proj_weight [3 P, I], or three   W_o [O, P] */
#ifndef LOCKSTEP_LAYERS_ATTENTION_ATTENTION_BLOCK_H
#define LOCKSTEP_LAYERS_ATTENTION_ATTENTION_BLOCK_H

#include "layers/attention/parts.h"
#include "layers/ops/attention.h"

enum { ATTENTION_MOST_HEADS = 4096, ATTENTION_INPUTS = 3 };

/* How parameters are named and initialised. */
typedef enum AttentionNames {
    ATTENTION_TORCH, /* in_proj_weight, in_proj_bias, out_proj.*, as nn.MultiheadAttention; P = I */
    ATTENTION_FREE   /* query.*, key.*, value.*, fc.*, each as nn.Linear */
} AttentionNames;

typedef struct AttentionSaved {
    real *q, *kv, *context, *norm;
} AttentionSaved;

typedef struct AttentionWork {
    real *dq, *dkv, *dcontext; /* dcontext only where there is an output projection */
    real *delta;               /* [heads, R] */
    real *scratch;             /* of the threads */
    const real *residual;      /* [R, O] forward adds it to y; NULL: nothing; where there is an output projection */
} AttentionWork;

typedef struct AttentionBlock {
    /* set by the caller before attention_plan */
    AttentionNames names;
    const char *prefix; /* of parameter names, "" or "layers.0.self_attn." */
    size_t heads, d;
    size_t I[ATTENTION_INPUTS];      /* features of what query, key and value are made from */
    size_t source[ATTENTION_INPUTS]; /* which input that is: 0 0 0, 0 1 1 or 0 1 2 */
    size_t O;                        /* features of the output projection; 0: none */
    Grain grain, key_grain;          /* of the rows of queries, and of keys and values */
    bool bias, causal;
    double dropout; /* of the weights */
    uint32_t site;
    uint64_t layer; /* Layer.key */
    /* set by attention_plan */
    size_t P, threads;
    bool together;              /* Q, K and V are one matrix */
    size_t pad;                 /* columns before K where it is not; room for what a whole panel writes */
    size_t ldq, ldk;            /* of the rows that hold Q, and K and V */
    real scale;                 /* 1 / sqrt(d) */
    Dense in[ATTENTION_INPUTS]; /* ATTENTION_TORCH: the first alone, of 3 P */
    Dense out;
    real *memory; /* K and V that last */
    bool lasts;
    size_t steps; /* room for the past of a sequence; 0: passes do not carry it on */
    struct {
        real *kv;   /* [B, steps, 2 P] keys and values side by side */
        real *past; /* [B] steps that are there */
    } state;
    struct {
        size_t *query, *key, *end; /* [R + 1] each row by itself: where its query, its first key, its last one are */
    } index;
} AttentionBlock;

/* Parameters; then memory, which blocks may share that do not work at the same time. */
MUST_CHECK Status attention_plan(AttentionBlock *block, Layer *layer, Plan *plan);
void attention_plan_saved(const AttentionBlock *block, Plan *plan, AttentionSaved *saved);
/* delta and scratch; then what else backward needs, unless the caller lends it. */
void attention_plan_scratch(const AttentionBlock *block, Plan *plan, AttentionWork *work);
void attention_plan_gradients(const AttentionBlock *block, Plan *plan, AttentionWork *work);

/* (1) to (3) for inputs x. With pass->carry_state a causal block goes on from the keys and values of the passes
 * before, as if all had been one pass; at most `steps` steps in all. Without output projection C is y, and
 * saved.context is not used. */
void attention_forward(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved,
                       const AttentionWork *work, const real *const x[], real *y);

/* (3') to (1'). y as forward wrote it (read without output projection alone). dx[i] (NULL: not wanted) is the
 * gradient of input i, added to with add[i]; it may be dy. */
void attention_backward(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved,
                        const AttentionWork *work, const real *const x[], const real *y, const real *dy,
                        real *const dx[], const bool add[]);

/* Shows the weights as set `i` of the layer, right after attention_forward; nothing without pass->look. */
void attention_show(const AttentionBlock *block, const Layer *layer, const Pass *pass, const AttentionSaved *saved,
                    const AttentionWork *work, size_t i);
AttentionSet attention_set(const AttentionBlock *block);

/* The weights [T, S] of one sequence and head, as long as the block's saved memory is that of a forward pass. */
void attention_weights(const AttentionBlock *block, const Pass *pass, const AttentionSaved *saved,
                       const AttentionWork *work, size_t sequence, size_t head, real *w);

#endif
