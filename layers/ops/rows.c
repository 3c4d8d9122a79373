/* SPDX-License-Identifier: MIT
 *
 * rows.c: the elementwise operations of ops.h, cut into blocks for the threads. */
#include <string.h>

#include "layers/ops/blocks.h"
#include "layers/ops/kernels.h"
#include "layers/ops/random.h"

void op_activation(Activation kind, size_t n, const real *x, real *y) {
    EACH_FLAT(n, ops_kernels->rows.activation(kind, count, x + first, y + first));
}

void op_activation_backward(Activation kind, size_t n, const real *x, const real *dy, real *dx) {
    EACH_FLAT(n, ops_kernels->rows.activation_backward(kind, count, x + first, dy + first, dx + first));
}

void op_add_rows(size_t rows, size_t n, const real *x, real *y, size_t ld) {
    for (size_t r = 0; r < rows; r++) ops_kernels->rows.add(n, x + r * ld, y + r * ld);
}

void op_activation_rows(Activation kind, size_t rows, size_t n, const real *x, real *y, size_t ld) {
    for (size_t r = 0; r < rows; r++) ops_kernels->rows.activation(kind, n, x + r * ld, y + r * ld);
}

void op_activation_backward_rows(Activation kind, size_t rows, size_t n, const real *x, real *dx, size_t ld,
                                 real scale) {
    for (size_t r = 0; r < rows; r++) {
        if (scale != 1) ops_kernels->rows.scale(n, scale, dx + r * ld);
        ops_kernels->rows.activation_backward(kind, n, x + r * ld, dx + r * ld, dx + r * ld);
    }
}

void op_add(size_t n, const real *x, real *y) {
    EACH_FLAT(n, ops_kernels->rows.add(count, x + first, y + first));
}

void op_copy(size_t n, const real *x, real *y) {
    EACH_FLAT(n, memcpy(y + first, x + first, count * sizeof *y));
}

void op_zero(size_t n, real *y) {
    EACH_FLAT(n, memset(y + first, 0, count * sizeof *y));
}

/* ---- columns ------------------------------------------------------------------------------------------- */

static void copy_rows(size_t rows, size_t features, const real *x, size_t ldx, real *y, size_t ldy) {
    for (size_t r = 0; r < rows; r++) memcpy(y + r * ldy, x + r * ldx, features * sizeof *y);
}

void op_copy_columns(size_t rows, size_t features, const real *x, size_t ldx, real *y, size_t ldy) {
    EACH_ROWS(rows, features, copy_rows(count, features, x + first * ldx, ldx, y + first * ldy, ldy));
}

void op_gather_rows(size_t rows, const size_t *from, size_t features, real *x, size_t ldx, real *tmp) {
    for (size_t f = 0; f < features; f += GATHER_COLUMNS) {
        const size_t bytes = (features - f < GATHER_COLUMNS ? features - f : GATHER_COLUMNS) * sizeof *x;
        for (size_t r = 0; r < rows; r++)
            if (from[r] != r) memcpy(tmp + r * GATHER_COLUMNS, x + from[r] * ldx + f, bytes);
        for (size_t r = 0; r < rows; r++)
            if (from[r] != r) memcpy(x + r * ldx + f, tmp + r * GATHER_COLUMNS, bytes);
    }
}

static void sum_rows(size_t rows, size_t features, const real *dy, size_t lddy, real *dx) {
    memset(dx, 0, features * sizeof *dx);
    for (size_t r = 0; r < rows; r++) ops_kernels->rows.add(features, dy + r * lddy, dx);
}

void op_repeat_rows(size_t sequences, const size_t *offset, size_t features, const real *x, real *y, size_t ldy) {
    PARALLEL(sequences ? threads_for(offset[sequences], features) : 1, sequences) {
#pragma omp for schedule(static) nowait
        for (size_t b = 0; b < sequences; b++)
            copy_rows(offset[b + 1] - offset[b], features, x + b * features, 0, y + offset[b] * ldy, ldy);
    }
}

void op_sum_rows(size_t sequences, const size_t *offset, size_t features, const real *dy, size_t lddy, real *dx) {
    PARALLEL(sequences ? threads_for(offset[sequences], features) : 1, sequences) {
#pragma omp for schedule(static) nowait
        for (size_t b = 0; b < sequences; b++)
            sum_rows(offset[b + 1] - offset[b], features, dy + offset[b] * lddy, lddy, dx + b * features);
    }
}

/* ---- dropout ------------------------------------------------------------------------------------------- */

/* Philox's key for a site at a step; the counter holds (feature, time, position, step) in 32 bits each,
 * and what of step and position lies beyond goes into the key. */
static void dropout_key(DropoutKey key, uint32_t out[2]) {
    uint32_t w[4];
    random_words(key.seed, key.layer, (uint64_t)key.site | key.step >> 32 << 32, w);
    out[0] = w[0];
    out[1] = w[1];
}

typedef struct Dropout {
    uint32_t site[2], step, threshold;
    real scale;
    size_t sequences;
    const size_t *offset;
    const uint64_t *position;
    size_t features;
    const real *x;
    size_t ldx;
    const real *add; /* NULL, or rows as wide as y's */
    real *y;
    size_t ldy;
} Dropout;

/* The sequence that holds row r. */
static size_t sequence_of(const Dropout *d, size_t r) {
    size_t low = 0, high = d->sequences;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (d->offset[middle] <= r) low = middle;
        else high = middle;
    }
    return low;
}

static void dropout_rows(const Dropout *d, size_t first, size_t count) {
    size_t s = sequence_of(d, first);
    for (size_t r = first; r < first + count; r++) {
        while (r >= d->offset[s + 1]) s++;
        const uint32_t key[2] = {d->site[0], d->site[1] ^ (uint32_t)(d->position[s] >> 32)};
        const uint32_t counter[3] = {(uint32_t)(r - d->offset[s]), (uint32_t)d->position[s], d->step};
        ops_kernels->rows.dropout(key, counter, d->threshold, d->scale, d->features, d->x + r * d->ldx,
                                  d->add ? d->add + r * d->ldy : NULL, d->y + r * d->ldy);
    }
}

static void dropout(DropoutKey key, real p, Dropout d) {
    /* p = 1: what the threshold lets through is multiplied by 0. */
    d.step = (uint32_t)key.step;
    d.threshold = p < 1 ? (uint32_t)((double)p * 0x1p32) : UINT32_MAX;
    d.scale = p < 1 ? 1 / (1 - p) : 0;
    const size_t rows = d.sequences ? d.offset[d.sequences] : 0;
    dropout_key(key, d.site);
    EACH_ROWS(rows, d.features, dropout_rows(&d, first, count));
}

void op_dropout(DropoutKey key, real p, size_t sequences, const size_t *offset, const uint64_t *position,
                size_t features, const real *x, size_t ldx, real *y, size_t ldy) {
    dropout(key, p,
            (Dropout){.sequences = sequences,
                      .offset = offset,
                      .position = position,
                      .features = features,
                      .x = x,
                      .ldx = ldx,
                      .y = y,
                      .ldy = ldy});
}

void op_dropout_add(DropoutKey key, real p, size_t sequences, const size_t *offset, const uint64_t *position,
                    size_t features, const real *add, real *y) {
    dropout(key, p,
            (Dropout){.sequences = sequences,
                      .offset = offset,
                      .position = position,
                      .features = features,
                      .x = y,
                      .ldx = features,
                      .add = add,
                      .y = y,
                      .ldy = features});
}

/* ---- rows ---------------------------------------------------------------------------------------------- */

void op_layer_norm(size_t rows, size_t features, real eps, const real *x, const real *weight, const real *bias, real *y,
                   real *mean, real *rstd) {
    const LayerNorm a = {.rows = rows,
                         .features = features,
                         .eps = eps,
                         .x = x,
                         .weight = weight,
                         .bias = bias,
                         .y = y,
                         .mean = mean,
                         .rstd = rstd};
    EACH_ROWS(rows, features, ops_kernels->rows.layer_norm(&a, first, first + count));
}

void op_layer_norm_backward(size_t rows, size_t features, const real *x, const real *weight, const real *mean,
                            const real *rstd, const real *dy, real *dx, bool add) {
    const LayerNormBackward a = {.rows = rows,
                                 .features = features,
                                 .x = x,
                                 .weight = weight,
                                 .mean = mean,
                                 .rstd = rstd,
                                 .dy = dy,
                                 .dx = dx,
                                 .add = add};
    EACH_ROWS(rows, features, ops_kernels->rows.layer_norm_backward(&a, first, first + count));
}

void op_layer_norm_gradients(size_t rows, size_t features, const real *x, const real *mean, const real *rstd,
                             const real *dy, real *dweight, real *dbias) {
    enum { FEATURES = 64 };
    const LayerNormBackward a = {.rows = rows,
                                 .features = features,
                                 .x = x,
                                 .mean = mean,
                                 .rstd = rstd,
                                 .dy = dy,
                                 .dweight = dweight,
                                 .dbias = dbias};
    EACH_SHARE(features, (size_t)16, FEATURES, threads_for(rows, features),
               ops_kernels->rows.layer_norm_gradients(&a, first, first + count));
}

void op_cross_entropy(size_t rows, size_t classes, real *logits, const int32_t *target, int64_t ignore, real smoothing,
                      bool gradient, double *loss, uint8_t *correct) {
    const CrossEntropy e = {.classes = classes,
                            .logits = logits,
                            .target = target,
                            .ignore = ignore,
                            .smoothing = smoothing,
                            .gradient = gradient,
                            .loss = loss,
                            .correct = correct};
    EACH_ROWS(rows, classes, ops_kernels->rows.cross_entropy(&e, first, first + count));
}

void op_softmax(size_t rows, size_t features, real *x) {
    EACH_ROWS(rows, features, ops_kernels->rows.softmax(features, x, first, first + count));
}
