/* SPDX-License-Identifier: MIT
 *
 * lookup.c: operations that pick rows: by id, by place in a sequence; and the squared error. */
#include <math.h>
#include <string.h>

#include "layers/ops/blocks.h"
#include "layers/ops/kernels.h"

/* ---- the norm of a row ---------------------------------------------------------------------------------- */

enum { LANES = 8 };

/* The sum of `term`, of the i-th element's absolute a, in LANES chains: one order on every instruction set. */
#define SUM_TERMS(n, x, sum, term)                                                                                     \
    do {                                                                                                               \
        double lane[LANES] = {0};                                                                                      \
        for (size_t i = 0; i < (n); i++) {                                                                             \
            const double a = fabs((double)(x)[i]);                                                                     \
            lane[i % LANES] += (term);                                                                                 \
        }                                                                                                              \
        for (size_t l = 0; l < LANES; l++) (sum) += lane[l];                                                           \
    } while (0)

static double norm(size_t n, const real *x, double p) {
    double sum = 0, largest = 0;
    if (p == 2) {
        SUM_TERMS(n, x, sum, a * a);
        return sqrt(sum);
    }
    if (p == 1) {
        SUM_TERMS(n, x, sum, a);
        return sum;
    }
    if (p == 0) {
        SUM_TERMS(n, x, sum, (double)(a != 0));
        return sum;
    }
    /* Relative to the largest element nothing overflows, whatever p. */
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs((double)x[i]));
    if (largest == 0) return 0;
    SUM_TERMS(n, x, sum, pow(a / largest, p));
    return largest * pow(sum, 1 / p);
}

real op_norm_scale(size_t features, const real *row, NormLimit limit) {
    if (isnan(limit.limit)) return 1;
    const double size = norm(features, row, limit.p);
    return size > limit.limit ? (real)(limit.limit / (size + 1e-7)) : 1;
}

static void norm_scales(size_t count, size_t features, const real *table, NormLimit limit, const uint32_t *occurs,
                        real *scale) {
    for (size_t r = 0; r < count; r++) scale[r] = occurs[r] ? op_norm_scale(features, table + r * features, limit) : 1;
}

void op_norm_scales(size_t rows, size_t features, const real *table, NormLimit limit, const uint32_t *occurs,
                    real *scale) {
    EACH_ROWS(rows, features,
              norm_scales(count, features, table + first * features, limit, occurs + first, scale + first));
}

/* ---- ids --------------------------------------------------------------------------------------------------- */

static void gather_rows(size_t count, const int32_t *ids, size_t features, const real *table, NormLimit limit,
                        real *y) {
    for (size_t r = 0; r < count; r++) {
        const real *row = table + (size_t)ids[r] * features;
        const real scale = op_norm_scale(features, row, limit);
        if (scale == 1) memcpy(y + r * features, row, features * sizeof *y);
        else
            for (size_t f = 0; f < features; f++) y[r * features + f] = row[f] * scale;
    }
}

void op_gather(size_t rows, const int32_t *ids, size_t features, const real *table, NormLimit limit, real *y) {
    EACH_ROWS(rows, features, gather_rows(count, ids + first, features, table, limit, y + first * features));
}

static void one_hot_rows(size_t count, const int32_t *ids, size_t classes, real *y) {
    memset(y, 0, count * classes * sizeof *y);
    for (size_t r = 0; r < count; r++) y[r * classes + (size_t)ids[r]] = 1;
}

void op_one_hot(size_t rows, const int32_t *ids, size_t classes, real *y) {
    EACH_ROWS(rows, classes, one_hot_rows(count, ids + first, classes, y + first * classes));
}

/* Counting sort: rows with id v stand, in order, at order[start[v]] ... order[start[v + 1] - 1]. */
static void sort_rows(size_t rows, const int32_t *ids, size_t vocabulary, size_t *start, size_t *order) {
    memset(start, 0, (vocabulary + 1) * sizeof *start);
    for (size_t r = 0; r < rows; r++) start[ids[r] + 1]++;
    for (size_t v = 0; v < vocabulary; v++) start[v + 1] += start[v];
    for (size_t r = 0; r < rows; r++) order[start[ids[r]]++] = r;
    for (size_t v = vocabulary; v > 0; v--) start[v] = start[v - 1];
    start[0] = 0;
}

static void sum_row(const EmbeddingGradient *e, size_t v, size_t f, real *g) {
    const size_t *start = e->order + e->rows, width = least(e->features - f, EMBEDDING_CHUNK);
    const size_t count = v == e->padding ? 0 : start[v + 1] - start[v];
    ops_kernels->rows.sum_rows(width, e->dy + f, e->lddy, e->order + start[v], count, g);
    if (!e->divide || count == 0) return;
    for (size_t i = 0; i < width; i++) g[i] /= (real)e->divide[v];
}

void op_embedding_gradient(const EmbeddingGradient *e, real *g) {
    const size_t chunks = pieces(e->features, EMBEDDING_CHUNK);
    sort_rows(e->rows, e->ids, e->vocabulary, e->order + e->rows, e->order);
    /* How often ids occur differs: whoever is free takes the next ones, which changes no sum. */
    PARALLEL(threads_for(e->rows + e->vocabulary, e->features), chunks * e->vocabulary) {
#pragma omp for collapse(2) schedule(dynamic, 8) nowait
        for (size_t v = 0; v < e->vocabulary; v++)
            for (size_t c = 0; c < chunks; c++)
                if (!e->only || e->only[v] > 0)
                    sum_row(e, v, c * EMBEDDING_CHUNK, g + v * e->features + c * EMBEDDING_CHUNK);
    }
}

/* ---- sequences --------------------------------------------------------------------------------------------- */

static void mean_rows(size_t T, size_t features, const real *x, real *y) {
    memset(y, 0, features * sizeof *y);
    for (size_t t = 0; t < T; t++)
        for (size_t f = 0; f < features; f++) y[f] += x[t * features + f];
    for (size_t f = 0; f < features; f++) y[f] /= (real)T;
}

static void max_rows(size_t first, size_t end, size_t features, const real *x, real *y, size_t *row) {
    memcpy(y, x + first * features, features * sizeof *y);
    for (size_t f = 0; f < features; f++) row[f] = first;
    for (size_t r = first + 1; r < end; r++)
        for (size_t f = 0; f < features; f++)
            if (x[r * features + f] > y[f]) {
                y[f] = x[r * features + f];
                row[f] = r;
            }
}

static void pick_row(Pick pick, size_t first, size_t end, size_t features, const real *x, real *y, size_t *row) {
    if (pick == PICK_MAX) max_rows(first, end, features, x, y, row);
    else if (pick == PICK_MEAN) mean_rows(end - first, features, x + first * features, y);
    else memcpy(y, x + (pick == PICK_FIRST ? first : end - 1) * features, features * sizeof *y);
}

static size_t rows_of_all(size_t sequences, const size_t *offset) {
    return sequences ? offset[sequences] : 0;
}

void op_pick(Pick pick, size_t sequences, const size_t *offset, size_t features, const real *x, real *y, size_t *row) {
    const size_t work = pick == PICK_MEAN || pick == PICK_MAX ? rows_of_all(sequences, offset) : sequences;
    EACH_BLOCK(sequences, (size_t)1, threads_for(work, features),
               pick_row(pick, offset[first], offset[first + count], features, x, y + first * features,
                        row ? row + first * features : NULL));
}

static void spread_row(Pick pick, size_t first, size_t end, size_t features, const real *dy, const size_t *row,
                       real *dx) {
    real *mine = dx + first * features;
    if (pick == PICK_MEAN) {
        for (size_t t = 0; t < end - first; t++)
            for (size_t f = 0; f < features; f++) mine[t * features + f] = dy[f] / (real)(end - first);
        return;
    }
    memset(mine, 0, (end - first) * features * sizeof *dx);
    if (pick == PICK_MAX)
        for (size_t f = 0; f < features; f++) dx[row[f] * features + f] = dy[f];
    else memcpy(dx + (pick == PICK_FIRST ? first : end - 1) * features, dy, features * sizeof *dx);
}

void op_pick_backward(Pick pick, size_t sequences, const size_t *offset, size_t features, const real *dy,
                      const size_t *row, real *dx) {
    EACH_BLOCK(sequences, (size_t)1, threads_for(rows_of_all(sequences, offset), features),
               spread_row(pick, offset[first], offset[first + count], features, dy + first * features,
                          row ? row + first * features : NULL, dx));
}

static void last_columns(size_t count, size_t ldx, size_t features, const real *x, real *y) {
    for (size_t r = 0; r < count; r++) memcpy(y + r * features, x + (r + 1) * ldx - features, features * sizeof *y);
}

void op_last_columns(size_t rows, size_t ldx, size_t features, const real *x, real *y) {
    EACH_ROWS(rows, features, last_columns(count, ldx, features, x + first * ldx, y + first * features));
}

static void fill_columns(size_t count, size_t ldx, size_t features, const real *dy, real *dx) {
    for (size_t r = 0; r < count; r++) {
        memset(dx + r * ldx, 0, (ldx - features) * sizeof *dx);
        memcpy(dx + (r + 1) * ldx - features, dy + r * features, features * sizeof *dx);
    }
}

void op_last_columns_backward(size_t rows, size_t ldx, size_t features, const real *dy, real *dx) {
    EACH_ROWS(rows, ldx, fill_columns(count, ldx, features, dy + first * features, dx + first * ldx));
}

/* ---- squared error ------------------------------------------------------------------------------------------- */

static void squared_piece(size_t n, const real *y, const real *target, real *dy, double *squares, double *absolutes) {
    double square = 0, absolute = 0;
    for (size_t i = 0; i < n; i++) {
        const double error = (double)y[i] - (double)target[i];
        square += error * error;
        absolute += fabs(error);
        if (dy) dy[i] = (real)(2 * error);
    }
    *squares = square;
    *absolutes = absolute;
}

void op_squared_error(size_t n, const real *y, const real *target, real *dy, double *squares, double *absolutes) {
    EACH_BLOCK(n, (size_t)SQUARED_PIECE, threads_for(n, 1),
               squared_piece(count, y + first, target + first, dy ? dy + first : NULL, squares + b, absolutes + b));
}
