/* SPDX-License-Identifier: MIT
 *
 * gemm.h: matrix products under one contract. An element of C is the sum, in order, of one FMA chain
 * per 256 steps of k, each started from zero; bias or the old C comes first. That holds whatever M, N,
 * the leading dimensions, the alignment, the thread, the cut into calls and the instruction set are,
 * so any partition of the work gives the same bits.
 *
 * The right operand is packed in panels of 16 columns, [k][16] each, zero beyond the last column; the
 * form is the same on every instruction set. */
#ifndef LOCKSTEP_LAYERS_OPS_GEMM_H
#define LOCKSTEP_LAYERS_OPS_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "layers/real.h"

enum { PANEL = 16, KBLOCK = 256 };

static inline size_t panel_count(size_t n) {
    return (n + PANEL - 1) / PANEL;
}
static inline size_t panel_round(size_t n) {
    return panel_count(n) * PANEL;
}

/* Order of a dimension that holds `gates` gates of `units` units each. In memory of PyTorch's order
 * gate g of unit u is row g * units + u; interleaved, 16 units of gate 0 are followed by the same 16
 * units of gate 1 and so on, and units are padded to a multiple of 16. gates = 1 leaves a dimension as
 * it is, padding included only where stated. */
typedef struct Interleave {
    size_t gates, units;
} Interleave;

static inline Interleave in_order(size_t n) {
    return (Interleave){1, n};
}
/* Length of the dimension in interleaved order, padding included. */
static inline size_t interleaved(Interleave i) {
    return i.gates * panel_round(i.units);
}
/* Panel p of 16 interleaved entries: the first row in PyTorch's order and how many are real. */
static inline size_t interleave_panel(Interleave i, size_t p, size_t *count) {
    size_t unit = p / i.gates * PANEL, gate = p % i.gates;
    *count = i.units - unit < PANEL ? i.units - unit : PANEL;
    return gate * i.units + unit;
}

/* Reals a packed k x n operand takes. */
static inline size_t packed_count(size_t k, size_t n) {
    return k * panel_round(n);
}

/* Packs panels [first, end) of the k x n operand into dst (the whole operand's memory).
 * pack_transposed: w is [gates * units, k] (n = interleaved(gates) when gates.gates > 1, else units).
 * pack_plain: w is [gates * units, n] and k = interleaved(gates) when gates.gates > 1, else units; rows
 * of padding are zero. Serial. */
void pack_transposed(const real *w, size_t ldw, size_t k, Interleave gates, size_t first, size_t end, real *dst);
void pack_plain(const real *w, size_t ldw, Interleave gates, size_t n, size_t first, size_t end, real *dst);

/* C [m, n] = (start) + A [m, k] * B, B packed. start: 0, bias [n] or, with accumulate, C itself
 * (bias is added first then too). */
typedef void GemmFinish(void *context, size_t row, size_t rows, size_t column, size_t columns);
typedef struct Gemm {
    size_t m, n, k;
    const real *a;
    size_t lda;
    const real *b; /* packed, whole operand or from any panel on */
    real *c;
    size_t ldc;
    const real *bias; /* [n] or NULL */
    bool accumulate;
    /* Rows of the packed operand of which b is rows [0, k); 0: k. */
    size_t b_k;
    /* Of gemm alone; NULL: none. Called once for each part of C when it is complete, by the thread that has it in its
     * cache; parts are cut anyhow. */
    GemmFinish *finish;
    void *context;
} Gemm;

/* By the calling thread alone: may be called inside a parallel region. */
void gemm_serial(const Gemm *gemm);
/* By all threads of the rank. */
void gemm(const Gemm *gemm);

/* C [m, n] = sum over k rows of A[k, :]^T B[k, :], the gradient of a weight. A has interleaved(order)
 * columns if order.gates > 1, else m; C's rows are in PyTorch's order (m = gates * units). With b_rows
 * (NULL: row k is row k) row k of B is row b_rows[k] of b where that is >= 0, and row -1 - b_rows[k]
 * of b0 where it is negative (b0 NULL: zeros). */
typedef struct GemmTn {
    size_t m, n, k;
    const real *a;
    size_t lda;
    Interleave order;
    const real *b;
    size_t ldb;
    const int64_t *b_rows;
    const real *b0;
    size_t ldb0;
    real *c;
    size_t ldc;
    bool accumulate;
} GemmTn;

/* By all threads of the rank; the threads' scratch comes from ops_start. */
void gemm_tn(const GemmTn *gemm);

/* C [m] (+)= column sums of A [k, m] in the same order of summation as gemm_tn with a column of ones
 * (plain adds in blocks of 256 rows); C in PyTorch's order. By all threads. */
void column_sums(const real *a, size_t lda, Interleave order, size_t k, real *c, bool accumulate);

#endif
