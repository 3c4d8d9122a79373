/* SPDX-License-Identifier: MIT
 *
 * bench.h: what lockstep bench measures: training steps, and the sums and messages they are made of beside the MPI
 * library's, over a range of sizes. */
#ifndef LOCKSTEP_TRAINER_BENCH_H
#define LOCKSTEP_TRAINER_BENCH_H

#include "trainer/network.h"
#include "trainer/session.h"

typedef struct BenchFigures {
    double tokens_per_s, step_ms, gflops;
    double peak_gflops; /* of matrix products, all ranks together */
    double peak_gbytes; /* GB/s of memory: y = x + y over blocks that no cache holds, all ranks together */
    double data, forward, backward, reduce, exposed, hidden, update, publish; /* ms per step, the slowest rank's */
    double memory;                                                            /* bytes, the largest rank's */
    double rows, sequences, targets;                                          /* per step, of all ranks */
    size_t steps;
} BenchFigures;

/* Times `wanted` steps, 0: about ten seconds of them. Collective. */
MUST_CHECK Status bench_steps(Session *session, size_t wanted, BenchFigures *out);

/* Of a layer in such a step: all ranks' operations and the least bytes it moves, over this rank's time. */
typedef struct BenchLayer {
    double forward, backward; /* ms */
    double gflops, gbytes;
} BenchLayer;
BenchLayer bench_layer(const Session *session, const BenchFigures *figures, size_t layer);

/* Seconds, the slowest rank's median; NAN where there is no such thing. */
typedef struct SweepRow {
    size_t bytes;
    double copy;                  /* memcpy */
    double sum, publish;          /* reduce_sum, reduce_publish: the two halves of a step's communication */
    double allreduce, iallreduce; /* the MPI library's */
    double message;               /* one way between the first ranks of two nodes */
} SweepRow;

/* seconds = latency + bytes / bytes_per_s, by least squares of relative errors. */
typedef struct LinearFit {
    double latency, bytes_per_s;
} LinearFit;

enum { SWEEP_MOST = 8 };
typedef struct Sweep {
    SweepRow row[SWEEP_MOST];
    size_t rows;
    LinearFit copy, reduce, allreduce, message; /* reduce: sum and publish */
} Sweep;

/* Collective. */
MUST_CHECK Status bench_sweep(Comm *comm, Sweep *out);

/* The middle of n values, which it sorts. */
double bench_median(double *x, size_t n);
/* The largest of each of n values over the ranks. Collective. */
void bench_slowest(Comm *comm, double *x, size_t n);

#endif
