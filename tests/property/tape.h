/* SPDX-License-Identifier: MIT
 *
 * tape.h: matrices of doubles, made by plain loops, that remember how they were made: the gradient of all of
 * them follows by the chain rule, operation by operation. The reference of the property test is written in
 * these, forward alone, and shares no line with the kernels it judges.
 *
 * With every value and gradient goes what its rounding errors are measured by:
 *
 *   terms  the additions that one element hangs on, counted along the longest way through the graph: a product
 *          over n adds n to the larger count of its operands, a gradient of a weight the rows it is summed over
 *   floor  the size of terms that cancel. A normalisation subtracts a mean, and the gradients of it and of a
 *          softmax are differences: where they vanish (two features that are almost equal, one step alone) the
 *          terms are what single precision rounds. The largest such term, carried on through the graph as an
 *          error that is independent in every element; 0 where nothing cancels */
#ifndef LOCKSTEP_TESTS_PROPERTY_TAPE_H
#define LOCKSTEP_TESTS_PROPERTY_TAPE_H

#include <stdbool.h>
#include <stddef.h>

typedef struct Tensor {
    size_t rows, cols;
    double *v, *g;
    size_t v_terms;
    double v_floor, g_floor;
    size_t g_most, g_added; /* behind tensor_terms */
    bool touched;           /* a gradient has reached it */
} Tensor;

typedef struct Tape Tape;

Tape *tape_create(void);
void tape_destroy(Tape **tape);
/* From the gradients that the caller has put into g, with tensor_seed, to all others. */
void tape_backward(Tape *tape);
/* A relu was fed something so close to zero that rounding may decide which side it is on. */
bool tape_on_a_kink(const Tape *tape);

static inline size_t tensor_terms(const Tensor *t) {
    return t->g_most + t->g_added;
}
void tensor_seed(Tensor *t, const float *g);

/* Sources; zero where x is NULL. */
Tensor *t_leaf(Tape *tape, size_t rows, size_t cols, const float *x);
Tensor *t_constant(Tape *tape, size_t rows, size_t cols, const double *x);

Tensor *t_linear(Tape *tape, Tensor *x, Tensor *w);   /* x [n,k], w [m,k]: x w^T */
Tensor *t_product(Tape *tape, Tensor *x, Tensor *y);  /* x [n,k], y [k,m] */
Tensor *t_add(Tape *tape, Tensor *x, Tensor *y);      /* y of x's size, or one row for all */
Tensor *t_multiply(Tape *tape, Tensor *x, Tensor *y); /* the same */
Tensor *t_affine(Tape *tape, Tensor *x, double by, double plus);

typedef enum Curve { CURVE_RELU, CURVE_GELU, CURVE_GELU_TANH, CURVE_TANH, CURVE_SIGMOID } Curve; /* as activation */
Tensor *t_curve(Tape *tape, Tensor *x, Curve curve);

/* Softmax of every row; row i over columns 0 ... i alone if causal. */
Tensor *t_softmax(Tape *tape, Tensor *x, bool causal);
/* Every row to mean 0 and variance 1. */
Tensor *t_normal(Tape *tape, Tensor *x, double eps);
Tensor *t_mean_rows(Tape *tape, Tensor *x);
Tensor *t_max_rows(Tape *tape, Tensor *x);

Tensor *t_transpose(Tape *tape, Tensor *x);
Tensor *t_rows(Tape *tape, Tensor *x, size_t first, size_t count);
Tensor *t_cols(Tape *tape, Tensor *x, size_t first, size_t count);
/* Row i of the result is row index[i] of x; the index is copied. */
Tensor *t_gather(Tape *tape, Tensor *x, const size_t *index, size_t count);
/* One below, or beside, the other. */
Tensor *t_stack(Tape *tape, Tensor *const *part, size_t parts);
Tensor *t_beside(Tape *tape, Tensor *x, Tensor *y);
/* The same numbers in other rows. */
Tensor *t_shape(Tape *tape, Tensor *x, size_t rows, size_t cols);

#endif
