/* SPDX-License-Identifier: MIT
 *
 * parts.c: see parts.h. */
#include "layers/attention/parts.h"

#include <math.h>
#include <stdio.h>

#include "layers/ops/ops.h"

static Status plan_named(Layer *layer, Plan *plan, Param **out, const char *prefix, const char *name, Init init,
                         size_t rank, size_t dim0, size_t dim1) {
    char full[128];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    return plan_param(plan, layer, out, full, init, rank, dim0, dim1);
}

/* ---- linear maps ------------------------------------------------------------------------------------- */

Init dense_init(size_t inputs) {
    return (Init){.kind = INIT_UNIFORM, .scale = inputs ? 1 / sqrt((double)inputs) : 0, .gpt2 = true};
}

Status dense_plan(Dense *dense, Layer *layer, Plan *plan, const char *prefix, Init weight, const Init *bias) {
    TRY(plan_named(layer, plan, &dense->weight, prefix, "weight", weight, 2, dense->O, dense->I));
    if (bias) TRY(plan_named(layer, plan, &dense->bias, prefix, "bias", *bias, 1, dense->O, 1));
    TRY(plan_packed(plan, &dense->forward, dense->weight, PACK_TRANSPOSED, in_order(dense->O)));
    if (!plan_trains(plan)) return OK;
    return plan_packed(plan, &dense->backward, dense->weight, PACK_PLAIN, in_order(dense->O));
}

static Gemm forward_of(const Dense *dense, size_t rows, const real *x, size_t ldx, real *y, size_t ldy) {
    return (Gemm){.m = rows,
                  .n = dense->O,
                  .k = dense->I,
                  .a = x,
                  .lda = ldx,
                  .b = dense->forward.v,
                  .c = y,
                  .ldc = ldy,
                  .bias = dense->bias ? dense->bias->v : NULL};
}

static Gemm input_gradient_of(const Dense *dense, size_t rows, const real *dy, size_t lddy, real *dx, size_t lddx) {
    return (Gemm){
        .m = rows, .n = dense->I, .k = dense->O, .a = dy, .lda = lddy, .b = dense->backward.v, .c = dx, .ldc = lddx};
}

void dense_forward(const Dense *dense, size_t rows, const real *x, size_t ldx, real *y, size_t ldy) {
    const Gemm product = forward_of(dense, rows, x, ldx, y, ldy);
    gemm(&product);
}

void dense_input_gradient(const Dense *dense, size_t rows, const real *dy, size_t lddy, real *dx, size_t lddx,
                          bool add) {
    Gemm product = input_gradient_of(dense, rows, dy, lddy, dx, lddx);
    product.accumulate = add;
    gemm(&product);
}

void dense_forward_then(const Dense *dense, size_t rows, const real *x, real *y, GemmFinish *finish, void *context) {
    Gemm product = forward_of(dense, rows, x, dense->I, y, dense->O);
    product.finish = finish;
    product.context = context;
    gemm(&product);
}

void dense_input_gradient_then(const Dense *dense, size_t rows, const real *dy, real *dx, GemmFinish *finish,
                               void *context) {
    Gemm product = input_gradient_of(dense, rows, dy, dense->O, dx, dense->I);
    product.finish = finish;
    product.context = context;
    gemm(&product);
}

void residual_add(void *context, size_t row, size_t rows, size_t column, size_t columns) {
    const Residual *r = context;
    const size_t at = row * r->features + column;
    op_add_rows(rows, columns, r->x + at, r->y + at, r->features);
}

typedef struct DenseLeaf {
    const Dense *dense;
    const real *dy, *x;
    size_t lddy, ldx;
} DenseLeaf;

static void dense_weight_leaf(void *context, const Pass *pass, size_t s, real *dW) {
    const DenseLeaf *leaf = context;
    const Dense *dense = leaf->dense;
    size_t first = shard_row(&pass->rows, dense->grain, s), end = shard_row(&pass->rows, dense->grain, s + 1);
    gemm_tn(&(GemmTn){.m = dense->O,
                      .n = dense->I,
                      .k = end - first,
                      .a = leaf->dy + first * leaf->lddy,
                      .lda = leaf->lddy,
                      .order = in_order(dense->O),
                      .b = leaf->x + first * leaf->ldx,
                      .ldb = leaf->ldx,
                      .c = dW,
                      .ldc = dense->I});
}

static void dense_bias_leaf(void *context, const Pass *pass, size_t s, real *db) {
    const DenseLeaf *leaf = context;
    const Dense *dense = leaf->dense;
    size_t first = shard_row(&pass->rows, dense->grain, s), end = shard_row(&pass->rows, dense->grain, s + 1);
    if (dense->idle_bias) op_zero(dense->O, db);
    else column_sums(leaf->dy + first * leaf->lddy, leaf->lddy, in_order(dense->O), end - first, db, false);
}

void dense_gradients(const Dense *dense, const Pass *pass, const real *dy, size_t lddy, const real *x, size_t ldx) {
    DenseLeaf leaf = {dense, dy, x, lddy, ldx};
    grad_shards(pass, dense->weight, dense_weight_leaf, &leaf);
    if (dense->bias) grad_shards(pass, dense->bias, dense_bias_leaf, &leaf);
}

/* ---- normalisations ------------------------------------------------------------------------------------ */

Status norm_plan(Norm *norm, Layer *layer, Plan *plan, const char *prefix, bool bias) {
    TRY(plan_named(layer, plan, &norm->weight, prefix, "weight", (Init){.kind = INIT_ONE}, 1, norm->F, 1));
    if (!bias) return OK;
    return plan_named(layer, plan, &norm->bias, prefix, "bias", (Init){.kind = INIT_ZERO}, 1, norm->F, 1);
}

void norm_plan_saved(const Norm *norm, Plan *plan, NormSaved *saved) {
    plan_saved(plan, &saved->mean, plan_max_rows(plan, norm->grain));
    plan_saved(plan, &saved->rstd, plan_max_rows(plan, norm->grain));
}

void norm_forward(const Norm *norm, size_t rows, const real *x, real *y, const NormSaved *saved) {
    op_layer_norm(rows, norm->F, norm->eps, x, norm->weight->v, norm->bias ? norm->bias->v : NULL, y, saved->mean,
                  saved->rstd);
}

typedef struct NormLeaf {
    const Norm *norm;
    const NormSaved *saved;
    const real *x, *dy;
} NormLeaf;

static void norm_weight_leaf(void *context, const Pass *pass, size_t s, real *dweight) {
    const NormLeaf *leaf = context;
    size_t first = shard_row(&pass->rows, leaf->norm->grain, s), end = shard_row(&pass->rows, leaf->norm->grain, s + 1);
    size_t F = leaf->norm->F;
    op_layer_norm_gradients(end - first, F, leaf->x + first * F, leaf->saved->mean + first, leaf->saved->rstd + first,
                            leaf->dy + first * F, dweight, NULL);
}

static void norm_bias_leaf(void *context, const Pass *pass, size_t s, real *dbias) {
    const NormLeaf *leaf = context;
    size_t first = shard_row(&pass->rows, leaf->norm->grain, s), end = shard_row(&pass->rows, leaf->norm->grain, s + 1);
    size_t F = leaf->norm->F;
    column_sums(leaf->dy + first * F, F, in_order(F), end - first, dbias, false);
}

void norm_gradients(const Norm *norm, const Pass *pass, const real *x, const NormSaved *saved, const real *dy) {
    NormLeaf leaf = {norm, saved, x, dy};
    grad_shards(pass, norm->weight, norm_weight_leaf, &leaf);
    if (norm->bias) grad_shards(pass, norm->bias, norm_bias_leaf, &leaf);
}

void norm_backward(const Norm *norm, size_t rows, const real *x, const NormSaved *saved, const real *dy, real *dx,
                   bool add) {
    op_layer_norm_backward(rows, norm->F, x, norm->weight->v, saved->mean, saved->rstd, dy, dx, add);
}
