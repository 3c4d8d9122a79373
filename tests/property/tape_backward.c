/* SPDX-License-Identifier: MIT
 *
 * tape_backward.c: the chain rule, one operation at a time, with the count of additions and the size of what
 * cancels. */
#include <math.h>

#include "tests/property/tape_private.h"

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

void tensor_seed(Tensor *t, const float *g) {
    for (size_t i = 0; i < t->rows * t->cols; i++) t->g[i] += (double)g[i];
    t->touched = true;
}

/* A gradient that hangs on `terms` additions has been added to t; `sums` more were made within t. */
static void reached(Tensor *t, size_t terms, size_t sums, double floor) {
    t->g_most = larger(t->g_most, terms);
    t->g_added += sums > 0 ? sums : t->touched;
    t->g_floor += floor;
    t->touched = true;
}

/* floor * size, where the size is only looked for if there is a floor. */
#define CARRIED(floor, size) ((floor) > 0 ? (floor) * (size) : 0)

static double column_of(const Tensor *t) {
    return largest_column(t->v, t->rows, t->cols);
}
static double row_of(const Tensor *t) {
    return largest_row(t->v, t->rows, t->cols);
}
static double element_of(const Tensor *t) {
    return largest(t->v, t->rows * t->cols);
}

/* ---- products ---------------------------------------------------------------------------------------------- */

/* y = x w^T */
static void linear_back(const Operation *o) {
    Tensor *x = o->a, *w = o->b;
    const Tensor *y = o->out;
    for (size_t r = 0; r < x->rows; r++)
        for (size_t m = 0; m < w->rows; m++) {
            const double dy = y->g[r * w->rows + m];
            double *dx = x->g + r * x->cols, *dw = w->g + m * w->cols;
            const double *xr = x->v + r * x->cols, *wm = w->v + m * w->cols;
            for (size_t k = 0; k < x->cols; k++) dx[k] += dy * wm[k];
            for (size_t k = 0; k < x->cols; k++) dw[k] += dy * xr[k];
        }
    const size_t terms = tensor_terms(y);
    const double floor = y->g_floor;
    reached(x, larger(terms, w->v_terms) + w->rows, 0,
            CARRIED(floor, column_of(w)) + CARRIED(w->v_floor, largest_row(y->g, y->rows, y->cols)));
    reached(w, larger(terms, x->v_terms), x->rows,
            CARRIED(floor, column_of(x)) + CARRIED(x->v_floor, largest_column(y->g, y->rows, y->cols)));
}

/* z = x y */
static void product_back(const Operation *o) {
    Tensor *x = o->a, *y = o->b;
    const Tensor *z = o->out;
    for (size_t r = 0; r < x->rows; r++)
        for (size_t k = 0; k < x->cols; k++) {
            double sum = 0;
            const double *dz = z->g + r * y->cols, *yk = y->v + k * y->cols;
            double *dy = y->g + k * y->cols;
            const double xk = x->v[r * x->cols + k];
            for (size_t c = 0; c < y->cols; c++) sum += dz[c] * yk[c];
            for (size_t c = 0; c < y->cols; c++) dy[c] += xk * dz[c];
            x->g[r * x->cols + k] += sum;
        }
    const size_t terms = tensor_terms(z);
    const double floor = z->g_floor;
    reached(x, larger(terms, y->v_terms) + y->cols, 0,
            CARRIED(floor, row_of(y)) + CARRIED(y->v_floor, largest_row(z->g, z->rows, z->cols)));
    reached(y, larger(terms, x->v_terms) + x->rows, 0,
            CARRIED(floor, column_of(x)) + CARRIED(x->v_floor, largest_column(z->g, z->rows, z->cols)));
}

/* ---- elements ---------------------------------------------------------------------------------------------- */

static size_t partner(const Tensor *y, size_t i) {
    return y->rows == 1 ? i % y->cols : i;
}

static void add_back(const Operation *o) {
    Tensor *x = o->a, *y = o->b;
    const size_t terms = tensor_terms(o->out);
    for (size_t i = 0; i < x->rows * x->cols; i++) {
        x->g[i] += o->out->g[i];
        y->g[partner(y, i)] += o->out->g[i];
    }
    reached(x, terms, 0, o->out->g_floor);
    reached(y, terms, y->rows == 1 ? x->rows : 0, o->out->g_floor * sqrt(y->rows == 1 ? (double)x->rows : 1));
}

static void multiply_back(const Operation *o) {
    Tensor *x = o->a, *y = o->b;
    const size_t terms = tensor_terms(o->out);
    for (size_t i = 0; i < x->rows * x->cols; i++) {
        x->g[i] += o->out->g[i] * y->v[partner(y, i)];
        y->g[partner(y, i)] += o->out->g[i] * x->v[i];
    }
    const double floor = o->out->g_floor;
    const double *dz = o->out->g;
    const bool sums = y->rows == 1;
    reached(x, larger(terms, y->v_terms) + 1, 0,
            CARRIED(floor, element_of(y)) + CARRIED(y->v_floor, largest(dz, x->rows * x->cols)));
    reached(y, larger(terms, x->v_terms) + 1, sums ? x->rows : 0,
            CARRIED(floor, sums ? column_of(x) : element_of(x)) +
                CARRIED(x->v_floor, sums ? largest_column(dz, x->rows, x->cols) : largest(dz, x->rows * x->cols)));
}

static void curve_back(const Operation *o) {
    Tensor *x = o->a;
    double most = 0;
    for (size_t i = 0; i < x->rows * x->cols; i++) {
        const double slope = curve_slope(o->curve, x->v[i], o->out->v[i]);
        most = fmax(most, fabs(slope));
        x->g[i] += o->out->g[i] * slope;
    }
    reached(x, larger(tensor_terms(o->out), x->v_terms) + 1, 0,
            o->out->g_floor * most + CARRIED(x->v_floor, largest(o->out->g, x->rows * x->cols)));
}

/* ---- rows -------------------------------------------------------------------------------------------------- */

static void softmax_back(const Operation *o) {
    Tensor *x = o->a;
    const Tensor *y = o->out;
    double most = 0;
    for (size_t r = 0; r < x->rows; r++) {
        const double *w = y->v + r * x->cols, *dw = y->g + r * x->cols;
        double mean = 0;
        for (size_t c = 0; c < x->cols; c++) mean += w[c] * dw[c];
        for (size_t c = 0; c < x->cols; c++) {
            x->g[r * x->cols + c] += w[c] * (dw[c] - mean);
            most = fmax(most, fabs(w[c] * dw[c]));
        }
    }
    reached(x, larger(tensor_terms(y), y->v_terms) + x->cols, 0,
            most + y->g_floor + CARRIED(y->v_floor, largest(y->g, x->rows * x->cols)));
}

static void normal_back(const Operation *o) {
    Tensor *x = o->a;
    const Tensor *y = o->out;
    const double F = (double)x->cols;
    double most = 0, steepest = 0;
    for (size_t r = 0; r < x->rows; r++) {
        const double *from = x->v + r * x->cols, *n = y->v + r * x->cols, *dn = y->g + r * x->cols;
        double mean = 0, square = 0, mean_dn = 0, mean_dnn = 0;
        for (size_t c = 0; c < x->cols; c++) mean += from[c] / F;
        for (size_t c = 0; c < x->cols; c++) square += (from[c] - mean) * (from[c] - mean) / F;
        const double steep = 1 / sqrt(square + o->number);
        for (size_t c = 0; c < x->cols; c++) mean_dn += dn[c] / F;
        for (size_t c = 0; c < x->cols; c++) mean_dnn += dn[c] * n[c] / F;
        for (size_t c = 0; c < x->cols; c++) {
            x->g[r * x->cols + c] += steep * (dn[c] - mean_dn - n[c] * mean_dnn);
            most = fmax(most, steep * fabs(dn[c]) * fmax(1, steep * (largest(from, x->cols) + x->v_floor)));
        }
        steepest = fmax(steepest, steep);
    }
    reached(x, larger(tensor_terms(y), y->v_terms) + 2 * x->cols, 0, most + y->g_floor * steepest);
}

/* How often the most frequent of the indices occurs; 0: none of them twice. */
static size_t most_often(const size_t *index, size_t count) {
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        size_t times = 0;
        for (size_t j = 0; j < count; j++) times += index[j] == index[i];
        most = larger(most, times);
    }
    return most > 1 ? most : 0;
}

static void moved_back(const Operation *o) {
    Tensor *x = o->a;
    const Tensor *y = o->out;
    size_t most = 0;
    switch (o->kind) {
    case AFFINE:
        for (size_t i = 0; i < x->rows * x->cols; i++) x->g[i] += o->number * y->g[i];
        break;
    case MEAN_ROWS:
        for (size_t i = 0; i < x->rows * x->cols; i++) x->g[i] += y->g[i % x->cols] / (double)x->rows;
        break;
    case MAX_ROWS:
        for (size_t c = 0; c < x->cols; c++) x->g[o->index[c] * x->cols + c] += y->g[c];
        break;
    case TRANSPOSE:
        for (size_t r = 0; r < x->rows; r++)
            for (size_t c = 0; c < x->cols; c++) x->g[r * x->cols + c] += y->g[c * x->rows + r];
        break;
    case GATHER:
        for (size_t r = 0; r < y->rows; r++)
            for (size_t c = 0; c < x->cols; c++) x->g[o->index[r] * x->cols + c] += y->g[r * x->cols + c];
        most = most_often(o->index, y->rows);
        break;
    default: /* BLOCK */
        for (size_t r = 0; r < (o->into ? x : y)->rows; r++)
            for (size_t c = 0; c < (o->into ? x : y)->cols; c++) {
                if (o->into) x->g[r * x->cols + c] += y->g[(o->row + r) * y->cols + o->col + c];
                else x->g[(o->row + r) * x->cols + o->col + c] += y->g[r * y->cols + c];
            }
    }
    /* Blocks of one matrix go their own ways: what is taken apart is not a sum. */
    const bool apart = o->kind == BLOCK;
    const size_t before = x->g_added;
    reached(x, tensor_terms(y) + (o->kind == MEAN_ROWS), most, 0);
    if (apart) x->g_added = before;
    const double floor = y->g_floor * (o->kind == AFFINE ? fabs(o->number) : sqrt(most > 0 ? (double)most : 1));
    x->g_floor = apart ? fmax(x->g_floor, floor) : x->g_floor + floor;
}

void tape_backward(Tape *tape) {
    for (size_t i = tape->operations; i-- > 0;) {
        const Operation *o = &tape->operation[i];
        if (!o->out->touched) continue;
        switch (o->kind) {
        case LINEAR:
            linear_back(o);
            break;
        case PRODUCT:
            product_back(o);
            break;
        case ADD:
            add_back(o);
            break;
        case MULTIPLY:
            multiply_back(o);
            break;
        case CURVE:
            curve_back(o);
            break;
        case SOFTMAX:
            softmax_back(o);
            break;
        case NORMAL:
            normal_back(o);
            break;
        default:
            moved_back(o);
        }
    }
}
