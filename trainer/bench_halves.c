/* SPDX-License-Identifier: MIT
 *
 * bench_halves.c: how much of each half of the exchange between nodes hides behind computing: steps as they are, beside
 * steps in which every rank waits for one half after the other. */
#include <math.h>
#include <stdlib.h>

#include "trainer/bench.h"

enum { ALONE_STEPS = 5 };

typedef struct Waits {
    double ms[REDUCE_HALVES];
} Waits;

struct BenchWaits {
    Waits at[BENCH_WAITS];
    size_t steps;
};

BenchWaits *bench_waits_create(void) {
    return calloc(1, sizeof(BenchWaits));
}

void bench_waits_add(BenchWaits *waits, const ReduceTimes *times) {
    if (waits->steps == BENCH_WAITS) return;
    Waits *w = &waits->at[waits->steps++];
    for (int h = 0; h < REDUCE_HALVES; h++) w->ms[h] = times->exposed[h] * 1e3;
}

/* The median step. A rank that comes early waits for the others' computing too: of gradients the shortest wait counts,
 * which is that of the rank that came last. New parameters set out everywhere at once: there the longest does. */
static void median_waits(Comm *comm, const BenchWaits *waits, double ms[REDUCE_HALVES]) {
    size_t ranks = comm_size(comm);
    Waits *all = calloc(ranks, sizeof *all);
    double *step = calloc(REDUCE_HALVES * BENCH_WAITS, sizeof *step);
    if (!all || !step) comm_abort(comm, ERR_INTERNAL);
    double *const of[REDUCE_HALVES] = {step, step + BENCH_WAITS};
    for (size_t i = 0; i < waits->steps; i++) {
        comm_exchange(comm, &waits->at[i], sizeof *all, all);
        Waits one = all[0];
        for (size_t r = 1; r < ranks; r++) {
            one.ms[REDUCE_GRADIENTS] = fmin(one.ms[REDUCE_GRADIENTS], all[r].ms[REDUCE_GRADIENTS]);
            one.ms[REDUCE_PARAMETERS] = fmax(one.ms[REDUCE_PARAMETERS], all[r].ms[REDUCE_PARAMETERS]);
        }
        for (int h = 0; h < REDUCE_HALVES; h++) of[h][i] = one.ms[h];
    }
    for (int h = 0; h < REDUCE_HALVES; h++) ms[h] = waits->steps ? bench_median(of[h], waits->steps) : 0;
    free(step);
    free(all);
}

Status bench_alone(Session *s, uint64_t *step, BenchWaits *waits) {
    StepResult r;
    engine_settle(s->engine);
    reduce_overlap(s->engine->reduce, false);
    Status status = OK;
    for (size_t i = 0; i <= ALONE_STEPS && status == OK; i++) {
        status = stepper_take(s->stepper, ++*step, 0, &r);
        ReduceTimes times = reduce_times(s->engine->reduce);
        if (i > 0) bench_waits_add(waits, &times);
    }
    reduce_overlap(s->engine->reduce, s->config->comm.overlap);
    return status;
}

void bench_halves(Comm *comm, const BenchWaits *waits, const BenchWaits *alone, BenchHalf half[REDUCE_HALVES]) {
    double exposed[REDUCE_HALVES], whole[REDUCE_HALVES];
    median_waits(comm, waits, exposed);
    median_waits(comm, alone, whole);
    for (int h = 0; h < REDUCE_HALVES; h++)
        half[h] = (BenchHalf){exposed[h], whole[h], whole[h] > 0 ? 1 - exposed[h] / whole[h] : 0};
}
