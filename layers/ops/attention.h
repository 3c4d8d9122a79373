/* SPDX-License-Identifier: MIT
 *
 * attention.h: scaled dot-product attention (Vaswani et al. 2017) in tiles of queries by keys, with the
 * online softmax of Milakov and Gimelshein (2018) forward and weights that backward computes again, as in
 * FlashAttention (Dao et al. 2022); they are the same bits again. The T x S weights of a sequence are never
 * held.
 *
 *   per sequence and head, i a query, j a key, m a dropout mask (0 or 1 / (1 - p))
 *   forward    s_ij = scale q_i . k_j,  w_ij = e^(s_ij) / sum_j e^(s_ij),  o_i = sum_j m_ij w_ij v_j      (1)
 *   backward   D_i  = do_i . o_i                                                                          (2)
 *              dv_j = sum_i m_ij w_ij do_i                                                                (3)
 *              ds_ij = w_ij (m_ij do_i . v_j - D_i)                                                       (4)
 *              dq_i = scale sum_j ds_ij k_j,  dk_j = scale sum_i ds_ij q_i                                (5)
 *
 * Matrices are reached in place: row r of head h starts at x + r * ldx + h * d. Queries of sequence b are
 * rows q_offset[b] ... q_offset[b + 1] - 1; its keys and values have offsets of their own, so that a
 * decoder can look at an encoder, and forward perhaps ends of their own, so that keys can be a part of more. `causal` lets query i see keys 0 ... i; tiles that hold nothing but later
 * keys are not touched.
 *
 * Bits: tiles have fixed sizes and start at fixed places of a sequence, key tiles follow each other in
 * order, sums over a row are made in 16 lanes; so neither threads nor the other sequences of a batch nor
 * the instruction set matter. */
#ifndef LOCKSTEP_LAYERS_OPS_ATTENTION_H
#define LOCKSTEP_LAYERS_OPS_ATTENTION_H

#include "layers/ops/ops.h"

typedef struct Attention {
    size_t sequences;
    const size_t *q_offset, *k_offset; /* [sequences + 1] */
    const size_t *k_end;               /* [sequences] where keys end; NULL: where the next sequence's begin */
    size_t heads, d;                   /* d: features of a head, of queries, keys and values alike */
    real scale;                        /* > 0 */
    bool causal;
    const real *q, *k, *v;
    size_t ldq, ldk, ldv;
    real *out;
    size_t ldo;
    real *norm; /* [heads, rows of q, 2] max_j s_ij and 1 / sum_j e^(s_ij - max), for backward; NULL: not wanted */
    real p;     /* of dropout; 0: none */
    DropoutKey key;
    const uint64_t *position; /* [sequences] in the global batch; not read without dropout */
    real *scratch;            /* [threads, attention_scratch(d)] */
    size_t threads;
} Attention;

typedef struct AttentionBackward {
    Attention forward; /* with what (1) wrote */
    const real *dout;
    size_t lddo;
    real *dq, *dk, *dv; /* all of them is written */
    size_t lddq, lddk, lddv;
    real *delta; /* [heads, rows of q] scratch: D_i */
} AttentionBackward;

/* Reals of scratch per thread; SIZE_MAX when that overflows. */
size_t attention_scratch(size_t d);

/* (1), and (2) to (5). Threaded over sequences, heads and (forward) spans of queries. The mask of dropout is
 * a function of key, position, head, time of the query and time of the key. Heads take key.site + 65536
 * (head + 1), so sites of the layer's own stay below 65536. */
void op_attention(const Attention *attention);
void op_attention_backward(const AttentionBackward *backward);

/* The weights w [T, S] of one sequence and head without dropout, from q and k alone (out, v and norm are not
 * read); 0 where causal hides a key. By the calling thread, in the first thread's scratch. */
void op_attention_weights(const Attention *attention, size_t sequence, size_t head, real *w);

/* Softmax over time: in each column of each sequence's rows, x_t becomes e^(x_t) / sum_t e^(x_t). Backward
 * turns the gradient dw of the results w into that of x, in place. Threaded. */
void op_softmax_time(size_t sequences, const size_t *offset, size_t features, real *x);
void op_softmax_time_backward(size_t sequences, const size_t *offset, size_t features, const real *w, real *dw);

#endif
