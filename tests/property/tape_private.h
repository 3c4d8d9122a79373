/* SPDX-License-Identifier: MIT
 *
 * tape_private.h: the list of operations. */
#ifndef LOCKSTEP_TESTS_PROPERTY_TAPE_PRIVATE_H
#define LOCKSTEP_TESTS_PROPERTY_TAPE_PRIVATE_H

#include "tests/property/tape.h"

typedef enum Kind {
    LINEAR,
    PRODUCT,
    ADD,
    MULTIPLY,
    AFFINE,
    CURVE,
    SOFTMAX,
    NORMAL,
    MEAN_ROWS,
    MAX_ROWS,
    TRANSPOSE,
    BLOCK,
    GATHER
} Kind;

typedef struct Operation {
    Kind kind;
    Tensor *out, *a, *b;
    double number; /* factor, epsilon */
    Curve curve;
    size_t row, col; /* where out lies in a, or (into) a in out */
    bool into;
    size_t *index;
} Operation;

struct Tape {
    Operation *operation;
    size_t operations, room;
    void **memory;
    size_t pieces, piece_room;
    bool kink;
};

/* The largest root of the sum of squares of a column, or of a row; the largest element. */
double largest_column(const double *v, size_t rows, size_t cols);
double largest_row(const double *v, size_t rows, size_t cols);
double largest(const double *v, size_t count);

/* The derivative of a curve at x, where its value is y. */
double curve_slope(Curve curve, double x, double y);

#endif
