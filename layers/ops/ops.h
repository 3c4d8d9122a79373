/* SPDX-License-Identifier: MIT
 *
 * ops.h: what all kernels share: the choice of the instruction set, the threads' scratch memory, and
 * the elementwise operations. How threads share work leaves no trace in the bits. */
#ifndef LOCKSTEP_LAYERS_OPS_OPS_H
#define LOCKSTEP_LAYERS_OPS_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"
#include "layers/real.h"

/* Chooses kernels (LOCKSTEP_ISA=avx512|avx2|neon|portable overrides; an unknown or unsupported name is
 * ERR_USAGE) and allocates scratch for `threads` threads. Once, before any kernel; again only after
 * ops_stop. Local. */
MUST_CHECK Status ops_start(size_t threads);
void ops_stop(void);
/* "avx512", "avx2", "neon", "portable". Callable before ops_start (then: what it would choose). Local. */
const char *ops_isa(void);
size_t ops_threads(void);

/* From now on the first thread calls `poll` after each piece of a product or of attention, and wherever a layer calls
 * ops_pause, as in long loops of its threads: a pause in which messages between ranks may progress. It must be cheap
 * and must not change what kernels read. NULL: no more. Local. */
void ops_on_pause(void (*poll)(void *context), void *context);
void ops_pause(void);

/* y[i] = f(x[i]) and dx[i] = dy[i] f'(x[i]) over n elements, threaded. */
typedef enum Activation { ACT_RELU, ACT_GELU, ACT_GELU_TANH, ACT_TANH, ACT_SIGMOID } Activation;
void op_activation(Activation kind, size_t n, const real *x, real *y);
void op_activation_backward(Activation kind, size_t n, const real *x, const real *dy, real *dx);
/* By the calling thread, of n columns of `rows` rows ld apart: y = x + y; y = f(x); dx = (scale dx) f'(x). */
void op_add_rows(size_t rows, size_t n, const real *x, real *y, size_t ld);
void op_activation_rows(Activation kind, size_t rows, size_t n, const real *x, real *y, size_t ld);
void op_activation_backward_rows(Activation kind, size_t rows, size_t n, const real *x, real *dx, size_t ld,
                                 real scale);

/* y = x + y; y = x; y = 0. Threaded. */
void op_add(size_t n, const real *x, real *y);
void op_copy(size_t n, const real *x, real *y);
void op_zero(size_t n, real *y);

/* Row r of y [., features] = row r of x, for columns of wider matrices. Threaded. */
void op_copy_columns(size_t rows, size_t features, const real *x, size_t ldx, real *y, size_t ldy);
/* In place: row r of x [., features] becomes what row from[r] was; tmp [rows, GATHER_COLUMNS]. By the calling thread. */
enum { GATHER_COLUMNS = 256 };
void op_gather_rows(size_t rows, const size_t *from, size_t features, real *x, size_t ldx, real *tmp);
/* Every row of sequence b of y = row b of x [sequences, features]; and the sum over them, in order, of a
 * gradient dy, written to dx. Threaded over sequences. */
void op_repeat_rows(size_t sequences, const size_t *offset, size_t features, const real *x, real *y, size_t ldy);
void op_sum_rows(size_t sequences, const size_t *offset, size_t features, const real *dy, size_t lddy, real *dx);

/* Row r of y = row r of x times the dropout mask of this site: 0 with probability p, else 1 / (1 - p).
 * The mask depends only on the key and on what names the element: position in the global batch of the
 * row's sequence, time in it, feature. Applying it to dy gives dx. x may be y. Threaded. */
typedef struct DropoutKey {
    uint64_t seed, step;
    uint64_t layer; /* Layer.key */
    uint32_t site;  /* place within the layer */
} DropoutKey;
void op_dropout(DropoutKey key, real p, size_t sequences, const size_t *offset, const uint64_t *position,
                size_t features, const real *x, size_t ldx, real *y, size_t ldy);
/* y [., features] = add + the dropped y, as op_dropout and then op_add. */
void op_dropout_add(DropoutKey key, real p, size_t sequences, const size_t *offset, const uint64_t *position,
                    size_t features, const real *add, real *y);

/* Rows of layer normalisation (Ba et al. 2016): y = (x - mean) * rstd * weight + bias; weight and bias may
 * be NULL. Keeps mean and rstd [rows]. Backward with `add`: dx += the gradient. Threaded over rows. */
void op_layer_norm(size_t rows, size_t features, real eps, const real *x, const real *weight, const real *bias, real *y,
                   real *mean, real *rstd);
void op_layer_norm_backward(size_t rows, size_t features, const real *x, const real *weight, const real *mean,
                            const real *rstd, const real *dy, real *dx, bool add);
/* dweight[f] = sum over rows of dy * (x - mean) * rstd, dbias[f] = sum of dy, written, in blocks of 256
 * rows in order. Threaded over features. Either may be NULL. */
void op_layer_norm_gradients(size_t rows, size_t features, const real *x, const real *mean, const real *rstd,
                             const real *dy, real *dweight, real *dbias);

/* Cross entropy with label smoothing over rows of logits [rows, classes]: loss[r] (0 where ignored),
 * correct[r] = 1 if the first largest logit is the target, and, if gradient, logits become d loss / d
 * logits. A target of `ignore` (INT64_MIN: none) counts nothing. Threaded over rows. */
void op_cross_entropy(size_t rows, size_t classes, real *logits, const int32_t *target, int64_t ignore, real smoothing,
                      bool gradient, double *loss, uint8_t *correct);

/* Softmax of rows in place. Threaded. */
void op_softmax(size_t rows, size_t features, real *x);

/* ---- rows that are looked up (lookup.c) ------------------------------------------------------------ */

/* The limit of PyTorch's max_norm: a row whose p-norm (sum of |x|^p)^(1/p) is above `limit` is multiplied
 * by limit / (norm + 1e-7). limit NAN: none. */
typedef struct NormLimit {
    double limit, p;
} NormLimit;

/* What a row [features] is multiplied with: exactly 1 within the limit. Local to the row, so the bits depend
 * on nothing else. */
real op_norm_scale(size_t features, const real *row, NormLimit limit);

/* scale[r] for the rows of table [rows, features], 1 where occurs[r] is 0. Threaded. */
void op_norm_scales(size_t rows, size_t features, const real *table, NormLimit limit, const uint32_t *occurs,
                    real *scale);

/* y[r] = table[ids[r]], scaled to the limit. table [.., features]. Threaded. */
void op_gather(size_t rows, const int32_t *ids, size_t features, const real *table, NormLimit limit, real *y);

/* y[r] is zero but for a one in column ids[r]. Threaded. */
void op_one_hot(size_t rows, const int32_t *ids, size_t classes, real *y);

/* Gradient of an embedding: g [vocabulary, features], row v = the sum of dy[r] over rows r with ids[r] = v, in
 * row order, threaded. */
typedef struct EmbeddingGradient {
    size_t rows, vocabulary, features;
    const int32_t *ids; /* [rows] */
    const real *dy;
    size_t lddy;
    size_t *order;          /* scratch of rows + vocabulary + 1 */
    const uint32_t *divide; /* [vocabulary] row v is divided by it where it occurs; NULL: not */
    const uint32_t *only;   /* [vocabulary] row v is left alone where it is 0; NULL: all are written */
    size_t padding;         /* this row's gradient is zero; SIZE_MAX: none */
} EmbeddingGradient;
void op_embedding_gradient(const EmbeddingGradient *gradient, real *g);

/* One row y[b] out of a sequence's rows x[offset[b]] ... x[offset[b + 1] - 1]. MAX goes feature by feature, the
 * first of equals counts, and leaves in row [sequences, features] where it came from. Threaded over sequences. */
typedef enum Pick { PICK_LAST, PICK_FIRST, PICK_MEAN, PICK_MAX } Pick;
void op_pick(Pick pick, size_t sequences, const size_t *offset, size_t features, const real *x, real *y, size_t *row);
/* Writes all of dx. */
void op_pick_backward(Pick pick, size_t sequences, const size_t *offset, size_t features, const real *dy,
                      const size_t *row, real *dx);
/* y = the last `features` columns of x [rows, ldx]; its backward fills the others of dx with zeros. Threaded. */
void op_last_columns(size_t rows, size_t ldx, size_t features, const real *x, real *y);
void op_last_columns_backward(size_t rows, size_t ldx, size_t features, const real *dy, real *dx);

/* Squared errors in pieces of SQUARED_PIECE elements: squares[i] and absolutes[i] are piece i's sums of
 * (y - target)^2 and |y - target|, in order; dy (NULL: no) = 2 (y - target). Threaded. */
enum { SQUARED_PIECE = 4096 };
void op_squared_error(size_t n, const real *y, const real *target, real *dy, double *squares, double *absolutes);

#endif
