/* SPDX-License-Identifier: MIT
 *
 * probe.c: see probe.h. */
#include "layers/ops/probe.h"

#include <math.h>
#include <omp.h>
#include <time.h>

#include "comm/arena.h"
#include "comm/region.h"
#include "layers/ops/kernels.h"

enum { ROUNDS = 12, VISITS_BYTES = 64 << 20, FORKS = 64, IN_A_ROW = 16 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double probe_cache(size_t bytes) {
    const size_t threads = ops_threads(), n = bytes / 2 / sizeof(real);
    if (n == 0) return 0;
    const size_t visits = VISITS_BYTES / bytes + 1, all = 2 * n * threads * sizeof(real);
    real *block = pages_alloc(all);
    double best = 0;
    for (int round = 0; block && round < ROUNDS; round++) {
        const double since = now();
        PARALLEL(threads, threads) {
            real *x = block + 2 * n * (size_t)omp_get_thread_num();
            for (size_t i = 0; i < visits; i++) ops_kernels->rows.add(n, x, x + n);
        }
        const double rate = 3.0 * (double)(n * visits * threads) * sizeof(real) / (now() - since);
        if (rate > best) best = rate;
    }
    if (block) pages_free(block, all);
    return best;
}

double probe_fork(void) {
    double best = INFINITY;
    int done = 0; /* by the calling thread: keeps the region from being nothing */
    if (ops_threads() == 1) return 0;
    for (size_t i = 0; i < FORKS; i++) {
        const double since = now();
        for (size_t k = 0; k < IN_A_ROW; k++) PARALLEL(ops_threads(), ops_threads()) {
#pragma omp master
                done++;
            }
        const double seconds = (now() - since) / IN_A_ROW;
        if (seconds < best) best = seconds;
    }
    return done ? best : 0;
}
