/* SPDX-License-Identifier: MIT
 *
 * cross_entropy.c: the loss of classifiers and of models of text, row by row in order. */
#include "layers/loss/loss.h"
#include "layers/ops/ops.h"

static void find_largest(size_t rows, size_t features, const real *logits, int32_t *largest) {
    for (size_t r = 0; r < rows; r++) {
        const real *row = logits + r * features;
        size_t best = 0;
        for (size_t f = 1; f < features; f++)
            if (row[f] > row[best]) best = f;
        largest[r] = (int32_t)best;
    }
}

void loss_cross_entropy(const LossSpec *spec, size_t rows, size_t features, real *logits, const int32_t *target,
                        bool gradient, double *row_loss, uint8_t *row_correct, int32_t *predicted,
                        ShardResult *result) {
    if (predicted) find_largest(rows, features, logits, predicted);
    op_cross_entropy(rows, features, logits, target, spec->ignore_index, (real)spec->label_smoothing, gradient,
                     row_loss, row_correct);
    for (size_t r = 0; r < rows; r++) {
        if (target[r] == spec->ignore_index) continue;
        result->loss += row_loss[r];
        result->targets += 1;
        result->correct += row_correct[r];
    }
}
