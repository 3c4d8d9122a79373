/* SPDX-License-Identifier: MIT
 *
 * mse.c: losses that look at elements one by one: squared error, and the weighted sum of a probe. */
#include <math.h>

#include "layers/loss/loss.h"

void loss_mse(size_t n, const real *y, const real *target, real *dy, ShardResult *result) {
    for (size_t i = 0; i < n; i++) {
        double error = (double)y[i] - (double)target[i];
        result->loss += error * error;
        result->absolute += fabs(error);
        if (dy) dy[i] = (real)(2 * error);
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
