/* SPDX-License-Identifier: MIT
 *
 * loss.h: losses over a run of rows of one shard. Each adds to the shard's result; sums over targets, no
 * mean: the trainer scales once by the global count. */
#ifndef LOCKSTEP_LAYERS_LOSS_LOSS_H
#define LOCKSTEP_LAYERS_LOSS_LOSS_H

#include "layers/model.h"

/* -log softmax(logits)[target], with label smoothing, over rows [rows, features]. With `gradient` the
 * logits become d loss / d logits. row_loss and row_correct [rows] are scratch; predicted (NULL: no)
 * gets the first largest logit of each row. */
void loss_cross_entropy(const LossSpec *spec, size_t rows, size_t features, real *logits, const int32_t *target,
                        bool gradient, double *row_loss, uint8_t *row_correct, int32_t *predicted, ShardResult *result);

/* (y - target)^2 over n elements; dy (NULL: no) = 2 (y - target). squares and absolutes are scratch, one for
 * every SQUARED_PIECE elements. */
void loss_mse(size_t n, const real *y, const real *target, real *dy, double *squares, double *absolutes,
              ShardResult *result);

/* y * weight over n elements; dy (NULL: no) = weight. */
void loss_probe(size_t n, const real *y, const real *weight, real *dy, ShardResult *result);

#endif
