/* SPDX-License-Identifier: MIT
 *
 * tape.c: operations and their values; tape_backward.c plays them back. */
#include "tests/property/tape_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void *grown(void *list, size_t count, size_t *room, size_t each) {
    if (count < *room) return list;
    *room = *room ? 2 * *room : 256;
    list = realloc(list, *room * each);
    if (!list) abort();
    return list;
}

static void *take(Tape *tape, size_t bytes) {
    tape->memory = grown(tape->memory, tape->pieces, &tape->piece_room, sizeof *tape->memory);
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory) abort();
    tape->memory[tape->pieces++] = memory;
    return memory;
}

Tape *tape_create(void) {
    Tape *tape = calloc(1, sizeof *tape);
    if (!tape) abort();
    return tape;
}

void tape_destroy(Tape **tape) {
    if (!*tape) return;
    for (size_t i = 0; i < (*tape)->pieces; i++) free((*tape)->memory[i]);
    free((*tape)->memory);
    free((*tape)->operation);
    free(*tape);
    *tape = NULL;
}

bool tape_on_a_kink(const Tape *tape) {
    return tape->kink;
}

static Tensor *tensor(Tape *tape, size_t rows, size_t cols) {
    Tensor *t = take(tape, sizeof *t + 2 * rows * cols * sizeof(double));
    *t = (Tensor){.rows = rows, .cols = cols, .v = (double *)(t + 1), .g = (double *)(t + 1) + rows * cols};
    return t;
}

static Tensor *record(Tape *tape, Operation operation, size_t rows, size_t cols) {
    tape->operation = grown(tape->operation, tape->operations, &tape->room, sizeof *tape->operation);
    operation.out = tensor(tape, rows, cols);
    tape->operation[tape->operations++] = operation;
    return operation.out;
}

static void must(bool holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "tape: sizes do not fit: %s\n", what);
    abort();
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

Tensor *t_leaf(Tape *tape, size_t rows, size_t cols, const float *x) {
    Tensor *t = tensor(tape, rows, cols);
    for (size_t i = 0; x && i < rows * cols; i++) t->v[i] = (double)x[i];
    return t;
}

Tensor *t_constant(Tape *tape, size_t rows, size_t cols, const double *x) {
    Tensor *t = tensor(tape, rows, cols);
    for (size_t i = 0; x && i < rows * cols; i++) t->v[i] = x[i];
    return t;
}

/* ---- sizes ------------------------------------------------------------------------------------------------ */

double largest_column(const double *v, size_t rows, size_t cols) {
    double most = 0;
    for (size_t c = 0; c < cols; c++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++) sum += v[r * cols + c] * v[r * cols + c];
        most = fmax(most, sqrt(sum));
    }
    return most;
}

double largest_row(const double *v, size_t rows, size_t cols) {
    double most = 0;
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t c = 0; c < cols; c++) sum += v[r * cols + c] * v[r * cols + c];
        most = fmax(most, sqrt(sum));
    }
    return most;
}

double largest(const double *v, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(v[i]));
    return most;
}

/* floor * size, where the size is only looked for if there is a floor. */
#define CARRIED(floor, size) ((floor) > 0 ? (floor) * (size) : 0)

/* ---- forward --------------------------------------------------------------------------------------------- */

Tensor *t_linear(Tape *tape, Tensor *x, Tensor *w) {
    must(x->cols == w->cols, "linear");
    Tensor *y = record(tape, (Operation){.kind = LINEAR, .a = x, .b = w}, x->rows, w->rows);
    for (size_t r = 0; r < x->rows; r++)
        for (size_t m = 0; m < w->rows; m++) {
            const double *p = x->v + r * x->cols, *q = w->v + m * w->cols;
            double even = 0, odd = 0;
            size_t k = 0;
            for (; k + 1 < x->cols; k += 2) {
                even += p[k] * q[k];
                odd += p[k + 1] * q[k + 1];
            }
            y->v[r * w->rows + m] = even + odd + (k < x->cols ? p[k] * q[k] : 0);
        }
    y->v_terms = larger(x->v_terms, w->v_terms) + x->cols;
    y->v_floor = CARRIED(x->v_floor, largest_row(w->v, w->rows, w->cols)) +
                 CARRIED(w->v_floor, largest_row(x->v, x->rows, x->cols));
    return y;
}

Tensor *t_product(Tape *tape, Tensor *x, Tensor *y) {
    must(x->cols == y->rows, "product");
    Tensor *z = record(tape, (Operation){.kind = PRODUCT, .a = x, .b = y}, x->rows, y->cols);
    for (size_t r = 0; r < x->rows; r++)
        for (size_t k = 0; k < x->cols; k++)
            for (size_t c = 0; c < y->cols; c++) z->v[r * y->cols + c] += x->v[r * x->cols + k] * y->v[k * y->cols + c];
    z->v_terms = larger(x->v_terms, y->v_terms) + x->cols;
    z->v_floor = CARRIED(x->v_floor, largest_column(y->v, y->rows, y->cols)) +
                 CARRIED(y->v_floor, largest_row(x->v, x->rows, x->cols));
    return z;
}

static size_t partner(const Tensor *y, size_t i) {
    return y->rows == 1 ? i % y->cols : i;
}

Tensor *t_add(Tape *tape, Tensor *x, Tensor *y) {
    must(x->cols == y->cols && (y->rows == 1 || y->rows == x->rows), "add");
    Tensor *z = record(tape, (Operation){.kind = ADD, .a = x, .b = y}, x->rows, x->cols);
    for (size_t i = 0; i < x->rows * x->cols; i++) z->v[i] = x->v[i] + y->v[partner(y, i)];
    z->v_terms = larger(x->v_terms, y->v_terms) + 1;
    z->v_floor = x->v_floor + y->v_floor;
    return z;
}

Tensor *t_multiply(Tape *tape, Tensor *x, Tensor *y) {
    must(x->cols == y->cols && (y->rows == 1 || y->rows == x->rows), "multiply");
    Tensor *z = record(tape, (Operation){.kind = MULTIPLY, .a = x, .b = y}, x->rows, x->cols);
    for (size_t i = 0; i < x->rows * x->cols; i++) z->v[i] = x->v[i] * y->v[partner(y, i)];
    z->v_terms = larger(x->v_terms, y->v_terms) + 1;
    z->v_floor =
        CARRIED(x->v_floor, largest(y->v, y->rows * y->cols)) + CARRIED(y->v_floor, largest(x->v, x->rows * x->cols));
    return z;
}

Tensor *t_affine(Tape *tape, Tensor *x, double by, double plus) {
    Tensor *y = record(tape, (Operation){.kind = AFFINE, .a = x, .number = by}, x->rows, x->cols);
    for (size_t i = 0; i < x->rows * x->cols; i++) y->v[i] = by * x->v[i] + plus;
    y->v_terms = x->v_terms + 1;
    y->v_floor = x->v_floor * fabs(by);
    return y;
}

static const double gelu_inner = 0.7978845608028653559; /* sqrt(2 / pi) */

static double curve_of(Curve curve, double x) {
    switch (curve) {
    case CURVE_RELU:
        return x > 0 ? x : 0;
    case CURVE_GELU:
        return 0.5 * x * erfc(-x / sqrt(2));
    case CURVE_GELU_TANH:
        return 0.5 * x * (1 + tanh(gelu_inner * (x + 0.044715 * x * x * x)));
    case CURVE_TANH:
        return tanh(x);
    case CURVE_SIGMOID:
        return 1 / (1 + exp(-x));
    }
    abort();
}

double curve_slope(Curve curve, double x, double y) {
    switch (curve) {
    case CURVE_RELU:
        return x > 0 ? 1 : 0;
    case CURVE_GELU:
        return 0.5 * erfc(-x / sqrt(2)) + x * exp(-x * x / 2) / sqrt(2 * M_PI);
    case CURVE_GELU_TANH: {
        const double t = tanh(gelu_inner * (x + 0.044715 * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * gelu_inner * (1 + 3 * 0.044715 * x * x);
    }
    case CURVE_TANH:
        return 1 - y * y;
    case CURVE_SIGMOID:
        return y * (1 - y);
    }
    abort();
}

Tensor *t_curve(Tape *tape, Tensor *x, Curve curve) {
    Tensor *y = record(tape, (Operation){.kind = CURVE, .a = x, .curve = curve}, x->rows, x->cols);
    double most = 0, least = INFINITY;
    for (size_t i = 0; i < x->rows * x->cols; i++) {
        y->v[i] = curve_of(curve, x->v[i]);
        most = fmax(most, fabs(x->v[i]));
        least = fmin(least, fabs(x->v[i]));
    }
    /* What no rounding came before has a side for sure. */
    if (curve == CURVE_RELU && x->v_terms > 0 && least < 2e-6 * most) tape->kink = true;
    y->v_terms = x->v_terms + 1;
    y->v_floor = x->v_floor;
    return y;
}

Tensor *t_softmax(Tape *tape, Tensor *x, bool causal) {
    Tensor *y = record(tape, (Operation){.kind = SOFTMAX, .a = x}, x->rows, x->cols);
    for (size_t r = 0; r < x->rows; r++) {
        const size_t end = causal && r + 1 < x->cols ? r + 1 : x->cols;
        double most = -INFINITY, sum = 0;
        for (size_t c = 0; c < end; c++) most = fmax(most, x->v[r * x->cols + c]);
        for (size_t c = 0; c < end; c++) sum += y->v[r * x->cols + c] = exp(x->v[r * x->cols + c] - most);
        for (size_t c = 0; c < end; c++) y->v[r * x->cols + c] /= sum;
    }
    y->v_terms = x->v_terms + x->cols;
    y->v_floor = x->v_floor;
    return y;
}

Tensor *t_normal(Tape *tape, Tensor *x, double eps) {
    Tensor *y = record(tape, (Operation){.kind = NORMAL, .a = x, .number = eps}, x->rows, x->cols);
    for (size_t r = 0; r < x->rows; r++) {
        const double *from = x->v + r * x->cols;
        double mean = 0, square = 0;
        for (size_t c = 0; c < x->cols; c++) mean += from[c] / (double)x->cols;
        for (size_t c = 0; c < x->cols; c++) square += (from[c] - mean) * (from[c] - mean) / (double)x->cols;
        for (size_t c = 0; c < x->cols; c++) y->v[r * x->cols + c] = (from[c] - mean) / sqrt(square + eps);
        y->v_floor = fmax(y->v_floor, (largest(from, x->cols) + x->v_floor) / sqrt(square + eps));
    }
    y->v_terms = x->v_terms + 2 * x->cols;
    return y;
}

Tensor *t_mean_rows(Tape *tape, Tensor *x) {
    Tensor *y = record(tape, (Operation){.kind = MEAN_ROWS, .a = x}, 1, x->cols);
    for (size_t i = 0; i < x->rows * x->cols; i++) y->v[i % x->cols] += x->v[i] / (double)x->rows;
    y->v_terms = x->v_terms + x->rows;
    y->v_floor = x->v_floor;
    return y;
}

Tensor *t_max_rows(Tape *tape, Tensor *x) {
    size_t *index = take(tape, x->cols * sizeof *index);
    Tensor *y = record(tape, (Operation){.kind = MAX_ROWS, .a = x, .index = index}, 1, x->cols);
    for (size_t c = 0; c < x->cols; c++) {
        for (size_t r = 1; r < x->rows; r++)
            if (x->v[r * x->cols + c] > x->v[index[c] * x->cols + c]) index[c] = r;
        y->v[c] = x->v[index[c] * x->cols + c];
    }
    y->v_terms = x->v_terms;
    y->v_floor = x->v_floor;
    return y;
}

Tensor *t_transpose(Tape *tape, Tensor *x) {
    Tensor *y = record(tape, (Operation){.kind = TRANSPOSE, .a = x}, x->cols, x->rows);
    for (size_t r = 0; r < x->rows; r++)
        for (size_t c = 0; c < x->cols; c++) y->v[c * x->rows + r] = x->v[r * x->cols + c];
    y->v_terms = x->v_terms;
    y->v_floor = x->v_floor;
    return y;
}

Tensor *t_shape(Tape *tape, Tensor *x, size_t rows, size_t cols) {
    must(rows * cols == x->rows * x->cols, "shape");
    Tensor *y = record(tape, (Operation){.kind = AFFINE, .a = x, .number = 1}, rows, cols);
    memcpy(y->v, x->v, rows * cols * sizeof *y->v);
    y->v_terms = x->v_terms;
    y->v_floor = x->v_floor;
    return y;
}

/* Out of x: the block of y's size at (row, col). */
static Tensor *block(Tape *tape, Tensor *x, size_t row, size_t rows, size_t col, size_t cols) {
    must(row + rows <= x->rows && col + cols <= x->cols, "block");
    Tensor *y = record(tape, (Operation){.kind = BLOCK, .a = x, .row = row, .col = col}, rows, cols);
    for (size_t r = 0; r < rows; r++) memcpy(y->v + r * cols, x->v + (row + r) * x->cols + col, cols * sizeof *y->v);
    y->v_terms = x->v_terms;
    y->v_floor = x->v_floor;
    return y;
}

Tensor *t_rows(Tape *tape, Tensor *x, size_t first, size_t count) {
    return block(tape, x, first, count, 0, x->cols);
}

Tensor *t_cols(Tape *tape, Tensor *x, size_t first, size_t count) {
    return block(tape, x, 0, x->rows, first, count);
}

Tensor *t_gather(Tape *tape, Tensor *x, const size_t *index, size_t count) {
    size_t *own = take(tape, count * sizeof *own);
    memcpy(own, index, count * sizeof *own);
    Tensor *y = record(tape, (Operation){.kind = GATHER, .a = x, .index = own}, count, x->cols);
    for (size_t r = 0; r < count; r++) {
        must(index[r] < x->rows, "gather");
        memcpy(y->v + r * x->cols, x->v + index[r] * x->cols, x->cols * sizeof *y->v);
    }
    y->v_terms = x->v_terms;
    y->v_floor = x->v_floor;
    return y;
}

/* Puts x into y at (row, col): recorded with y as the result that is there already. */
static void put(Tape *tape, Tensor *x, Tensor *y, size_t row, size_t col) {
    tape->operation = grown(tape->operation, tape->operations, &tape->room, sizeof *tape->operation);
    tape->operation[tape->operations++] =
        (Operation){.kind = BLOCK, .a = x, .out = y, .row = row, .col = col, .into = true};
    for (size_t r = 0; r < x->rows; r++)
        memcpy(y->v + (row + r) * y->cols + col, x->v + r * x->cols, x->cols * sizeof *y->v);
    y->v_terms = larger(y->v_terms, x->v_terms);
    y->v_floor = fmax(y->v_floor, x->v_floor);
}

Tensor *t_stack(Tape *tape, Tensor *const *part, size_t parts) {
    size_t rows = 0;
    for (size_t i = 0; i < parts; i++) {
        must(part[i]->cols == part[0]->cols, "stack");
        rows += part[i]->rows;
    }
    Tensor *y = tensor(tape, rows, part[0]->cols);
    for (size_t i = 0, row = 0; i < parts; row += part[i++]->rows) put(tape, part[i], y, row, 0);
    return y;
}

Tensor *t_beside(Tape *tape, Tensor *x, Tensor *y) {
    must(x->rows == y->rows, "beside");
    Tensor *z = tensor(tape, x->rows, x->cols + y->cols);
    put(tape, x, z, 0, 0);
    put(tape, y, z, 0, x->cols);
    return z;
}
