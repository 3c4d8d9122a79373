/* SPDX-License-Identifier: MIT
 *
 * parts.h: a linear map and a layer normalisation as parts of a larger layer: parameters, forward,
 * gradients. x and y may be columns of wider matrices where a leading dimension is given.
 *
 *   Dense   y = x W^T + b       dx = dy W       dW = dy^T x       db = sum of dy
 *   Norm    y = (x - mean) rstd * weight + bias
 *
 *   x [R, I]   y [R, O]   weight [O, I]   bias [O]   of a Norm: [F] */
#ifndef LOCKSTEP_LAYERS_ATTENTION_PARTS_H
#define LOCKSTEP_LAYERS_ATTENTION_PARTS_H

#include "layers/layer.h"
#include "layers/ops/gemm.h"

typedef struct Dense {
    size_t I, O;
    Grain grain; /* of the rows */
    Param *weight, *bias;
    Packed forward, backward;
    bool idle_bias; /* nothing depends on the bias: its gradient is zero, not rounding errors */
} Dense;

/* I, O and grain are set by the caller. Parameters "<prefix>weight" and, unless bias is NULL, "<prefix>bias". */
MUST_CHECK Status dense_plan(Dense *dense, Layer *layer, Plan *plan, const char *prefix, Init weight, const Init *bias);
void dense_forward(const Dense *dense, size_t rows, const real *x, size_t ldx, real *y, size_t ldy);
void dense_input_gradient(const Dense *dense, size_t rows, const real *dy, size_t lddy, real *dx, size_t lddx,
                          bool add);
/* The same with all rows close together, and what follows each part of the result (gemm.h). */
void dense_forward_then(const Dense *dense, size_t rows, const real *x, real *y, GemmFinish *finish, void *context);
void dense_input_gradient_then(const Dense *dense, size_t rows, const real *dy, real *dx, GemmFinish *finish,
                               void *context);
void dense_gradients(const Dense *dense, const Pass *pass, const real *dy, size_t lddy, const real *x, size_t ldx);

/* A GemmFinish: adds rows of x to those of y. */
typedef struct Residual {
    size_t features;
    const real *x;
    real *y;
} Residual;
void residual_add(void *context, size_t row, size_t rows, size_t column, size_t columns);

/* nn.Linear's initial values. */
Init dense_init(size_t inputs);

typedef struct Norm {
    size_t F;
    Grain grain; /* of the rows */
    real eps;
    Param *weight, *bias;
} Norm;

typedef struct NormSaved {
    real *mean, *rstd; /* [R] */
} NormSaved;

/* F, grain and eps are set by the caller. Parameters "<prefix>weight" and, with bias, "<prefix>bias". */
MUST_CHECK Status norm_plan(Norm *norm, Layer *layer, Plan *plan, const char *prefix, bool bias);
void norm_plan_saved(const Norm *norm, Plan *plan, NormSaved *saved);
/* Writes saved; the same again for the same x. */
void norm_forward(const Norm *norm, size_t rows, const real *x, real *y, const NormSaved *saved);
void norm_gradients(const Norm *norm, const Pass *pass, const real *x, const NormSaved *saved, const real *dy);
/* dx (+)= its gradient; without `add` it may be dy. */
void norm_backward(const Norm *norm, size_t rows, const real *x, const NormSaved *saved, const real *dy, real *dx,
                   bool add);

#endif
