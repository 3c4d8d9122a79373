/* SPDX-License-Identifier: MIT
 *
 * kernels.h: the table of kernels that exists once per instruction set, private to ops/. Each
 * kernels_<isa>.c compiles the same .inc files on its own vec.h. Kernels are serial and work on a part
 * that their callers choose; the callers decide what threads do. */
#ifndef LOCKSTEP_LAYERS_OPS_KERNELS_H
#define LOCKSTEP_LAYERS_OPS_KERNELS_H

#include "layers/ops/attention.h"
#include "layers/ops/cells.h"
#include "layers/ops/gemm.h"
#include "layers/ops/ops.h"

/* A piece of gemm_tn's C: panels [first_row, end_row) of A's columns (panels of A, as interleaved) and
 * panels [first_panel, end_panel) of B's, at most TN_ROWS and TN_PANELS of them. */
enum { TN_ROWS = 16, TN_PANELS = 32 };
typedef struct TnPiece {
    size_t first_row, end_row, first_panel, end_panel;
} TnPiece;
/* Reals of scratch of a thread: both operands of a piece for one block of k. */
enum { TN_SCRATCH = (TN_ROWS + TN_PANELS) * PANEL * KBLOCK };

typedef struct GemmKernels {
    void (*serial)(const Gemm *gemm);
    void (*tn)(const GemmTn *gemm, TnPiece piece, real *scratch);
    /* Panels [first, end) of A's columns. */
    void (*column_sums)(const real *a, size_t lda, Interleave order, size_t k, real *c, bool accumulate, size_t first,
                        size_t end);
} GemmKernels;

typedef struct LayerNorm {
    size_t rows, features;
    real eps;
    const real *x, *weight, *bias;
    real *y, *mean, *rstd;
} LayerNorm;

typedef struct LayerNormBackward {
    size_t rows, features;
    const real *x, *weight, *mean, *rstd, *dy;
    real *dx, *dweight, *dbias;
    bool add;
} LayerNormBackward;

typedef struct CrossEntropy {
    size_t classes;
    real *logits;
    const int32_t *target;
    int64_t ignore;
    real smoothing;
    bool gradient;
    double *loss;
    uint8_t *correct;
} CrossEntropy;

/* Rows, or features in the gradients of layer normalisation, [first, end). */
typedef struct RowKernels {
    void (*activation)(Activation kind, size_t n, const real *x, real *y);
    void (*activation_backward)(Activation kind, size_t n, const real *x, const real *dy, real *dx);
    void (*scale)(size_t n, real by, real *x);
    void (*add)(size_t n, const real *x, real *y);
    /* Word j of counter (c, time, position, step), c = 16 b + l, decides feature 64 b + 16 j + l; it is
     * dropped if the word is below `threshold`, else multiplied by `scale`. */
    /* y = dropped x, with `add` (NULL: none) plus that */
    void (*dropout)(const uint32_t key[2], const uint32_t counter[3], uint32_t threshold, real scale, size_t features,
                    const real *x, const real *add, real *y);
    void (*layer_norm)(const LayerNorm *n, size_t first, size_t end);
    void (*layer_norm_backward)(const LayerNormBackward *n, size_t first, size_t end);
    void (*layer_norm_gradients)(const LayerNormBackward *n, size_t first, size_t end);
    void (*cross_entropy)(const CrossEntropy *e, size_t first, size_t end);
    void (*softmax)(size_t features, real *x, size_t first, size_t end);
    /* g [n] = the sum of rows order[0 ... count - 1] of dy, n <= EMBEDDING_CHUNK. */
    void (*sum_rows)(size_t n, const real *dy, size_t lddy, const size_t *order, size_t count, real *g);
} RowKernels;

enum { EMBEDDING_CHUNK = 64 };

/* Tiles of attention: queries by keys, in a matrix whose rows are no power of two apart. A span is what a task
 * of the forward pass takes. */
enum { ATTENTION_QUERIES = 64, ATTENTION_KEYS = 128, ATTENTION_LD = ATTENTION_KEYS + PANEL, ATTENTION_SPAN = 512 };

/* The mask of one head of one sequence; the counter is (time of the key, time of the query, position, step). */
typedef struct AttentionDrop {
    bool on;
    uint32_t key[2], position, step, threshold;
    real scale;
} AttentionDrop;

/* Queries [first, end) of one head of one sequence; its matrices begin at its first row and column. */
typedef struct AttentionTask {
    size_t queries, keys, first, end;
    size_t q_row, k_row, column; /* of the head in matrices that have no pointer here */
    const real *q, *k;
    real *norm, *delta;
    AttentionDrop drop;
} AttentionTask;

typedef struct AttentionKernels {
    void (*forward)(const Attention *attention, const AttentionTask *task, real *scratch);
    void (*backward)(const AttentionBackward *backward, const AttentionTask *task, real *scratch);
    void (*weights)(const Attention *attention, const AttentionTask *task, real *w, real *scratch);
    /* Softmax down `count` <= 64 columns of a matrix, and its backward. */
    void (*time)(size_t rows, size_t ld, size_t count, real *x);
    void (*time_backward)(size_t rows, size_t ld, size_t count, const real *w, real *dw);
} AttentionKernels;

typedef struct Kernels {
    const char *name;
    GemmKernels gemm;
    RowKernels rows;
    CellKernels cells;
    AttentionKernels attention;
} Kernels;

extern const Kernels kernels_portable;
#ifdef LOCKSTEP_HAVE_X86
extern const Kernels kernels_avx2;
extern const Kernels kernels_avx512;
#endif
#ifdef LOCKSTEP_HAVE_NEON
extern const Kernels kernels_neon;
#endif

/* What ops_start has chosen; the portable ones before. */
extern const Kernels *ops_kernels;
/* TN_SCRATCH reals for thread `thread` < ops_threads(). */
real *ops_scratch(size_t thread);

#endif
