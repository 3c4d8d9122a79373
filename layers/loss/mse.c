/* SPDX-License-Identifier: MIT
 *
 * mse.c: losses that look at elements one by one: squared error, and the weighted sum of a probe. */
#include "layers/loss/loss.h"
#include "layers/ops/ops.h"

void loss_mse(size_t n, const real *y, const real *target, real *dy, double *squares, double *absolutes,
              ShardResult *result) {
    op_squared_error(n, y, target, dy, squares, absolutes);
    for (size_t i = 0; i * SQUARED_PIECE < n; i++) {
        result->loss += squares[i];
        result->absolute += absolutes[i];
    }
    result->targets += (double)n;
}

void loss_probe(size_t n, const real *y, const real *weight, real *dy, ShardResult *result) {
    for (size_t i = 0; i < n; i++) {
        result->loss += (double)y[i] * (double)weight[i];
        if (dy) dy[i] = weight[i];
    }
    result->targets += (double)n;
}
