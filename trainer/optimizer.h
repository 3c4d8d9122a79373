/* SPDX-License-Identifier: MIT
 *
 * optimizer.h: Adam (Kingma & Ba 2015), AdamW (Loshchilov & Hutter 2019) and SGD with momentum in
 * PyTorch's forms, on the chunks of the flat parameter block that a rank owns. Its slots (exp_avg,
 * exp_avg_sq; momentum_buffer) exist once per job, each rank holding those of its chunks. */
#ifndef LOCKSTEP_TRAINER_OPTIMIZER_H
#define LOCKSTEP_TRAINER_OPTIMIZER_H

#include "comm/reduce.h"
#include "trainer/config.h"
#include "trainer/row_update.h"

enum { OPTIMIZER_MAX_SLOTS = 2 };

typedef struct Optimizer {
    OptimizerConfig config;
    size_t slots;
    const char *slot_name[OPTIMIZER_MAX_SLOTS];
    float *slot[OPTIMIZER_MAX_SLOTS]; /* [count] */
    const RowTables *rows;            /* rules of rows; NULL: there are none */
    const Touched *touched;           /* what has a gradient; NULL: all */
    struct Checks *checks;            /* keeps and compares sums at an update; NULL: nobody does */
    size_t count;                     /* floats that this rank owns */
} Optimizer;

/* Slots an optimizer has, before it is made. Local. */
size_t optimizer_slots(const OptimizerConfig *config);

/* ERR_USAGE if memory is short. The caller's: optimizer_destroy. Local. */
MUST_CHECK Status optimizer_create(const OptimizerConfig *config, size_t count, Optimizer **out);
void optimizer_destroy(Optimizer **optimizer);

/* One update of the chunks [first, end) of `chunk` by gradient * scale; `step` counts from 1. Gradient and
 * parameter are blocks by flat offset; a gradient of what is not touched is +0 and not read. The result for an element depends on nothing but that element and the rule of its row. By all
 * threads. Local. */
void optimizer_update(Optimizer *optimizer, uint64_t step, double lr, double scale, const ReduceChunk *chunk,
                      size_t first, size_t end, const float *gradient, float *parameter);

#endif
