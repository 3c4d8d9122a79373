/* SPDX-License-Identifier: MIT
 *
 * bench.h: what lockstep bench measures: training steps, and the sums and messages they are made of beside the MPI
 * library's, over a range of sizes. */
#ifndef LOCKSTEP_TRAINER_BENCH_H
#define LOCKSTEP_TRAINER_BENCH_H

#include "trainer/network.h"
#include "trainer/session.h"

/* One half of the exchange between nodes in the median step, ms. */
typedef struct BenchHalf {
    double exposed; /* waited for while nothing was computed */
    double alone;   /* the same where computing hides nothing (comm.overlap: false) */
    double hidden;  /* 1 - exposed / alone */
} BenchHalf;

typedef struct BenchFigures {
    double tokens_per_s, step_ms, gflops;
    double peak_gflops; /* of matrix products, all ranks together */
    double peak_gbytes; /* GB/s of memory: y = x + y over blocks that no cache holds, all ranks together */
    double data, forward, backward, reduce, exposed, hidden, update, publish; /* ms per step, the slowest rank's */
    size_t last_caches;              /* third-level caches that the threads of rank 0 may spread over */
    double memory, job_memory;       /* peak bytes: the largest rank's; of all, what ranks share once */
    double rows, sequences, targets; /* per step, of all ranks */
    BenchHalf half[REDUCE_HALVES];   /* several nodes only */
    size_t steps;
    /* for the roofline; of this rank where nothing else is said */
    double cache_gbytes;    /* GB/s of y = x + y out of the second cache, all ranks together */
    bool cached;            /* all that a step touches fits the last cache */
    double fork_us;         /* of a parallel region without work */
    double forks, waits;    /* a step: parallel regions of several threads, and waits for other ranks */
    double idle, waited;    /* ms a step: of a thread in regions without work, and in those waits */
    double serial;          /* ms a step in which the first thread works alone; NAN: there is but one */
    double parallel;        /* ms a step of work in regions, all threads together; */
    double parallel_as_cut; /* the longest share of it on 64 threads, as the work is cut into parts */
} BenchFigures;

/* Times `wanted` steps, 0: about ten seconds of them. Collective. */
MUST_CHECK Status bench_steps(Session *session, size_t wanted, BenchFigures *out);

/* What a rank waited for in each of the last steps, the first BENCH_WAITS of them. NULL where memory is short. The
 * caller's: free. Local. */
enum { BENCH_WAITS = 1024 };
typedef struct BenchWaits BenchWaits;
BenchWaits *bench_waits_create(void);
void bench_waits_add(BenchWaits *waits, const ReduceTimes *times);

/* Takes some steps after *step in which a rank waits for one half after the other. Collective. */
MUST_CHECK Status bench_alone(Session *session, uint64_t *step, BenchWaits *waits);
/* Compares steps as they are with those. Collective. */
void bench_halves(Comm *comm, const BenchWaits *waits, const BenchWaits *alone, BenchHalf half[REDUCE_HALVES]);

/* Of a layer in such a step: all ranks' operations and the least bytes it moves, over this rank's time; and where that
 * time goes. The largest of compute, cache and memory is the least that the layer can take; with it `barrier` and
 * `other` add up to the time. */
typedef struct BenchLayer {
    double forward, backward; /* ms */
    double gflops, gbytes;
    double compute;    /* ms of its matrix products at the peak */
    double cache;      /* ms of what they read again and again, at the second cache's rate */
    double memory;     /* ms of what it must move, at the memory's rate; in `cache` if all fits the last cache */
    double barrier;    /* ms in which a thread has no work: in regions, and outside while the first works alone */
    double other;      /* the rest: gates, softmax, norms, packing, and products below their peak */
    double forks;      /* parallel regions */
    const char *bound; /* "compute", "L2", "memory" or "barrier": the largest of the four */
} BenchLayer;
BenchLayer bench_layer(const Session *session, const BenchFigures *figures, size_t layer);

/* What a step would take on n cores: serial + waited + parallel / n + forks * fork_us; NAN with one thread, which does not
 * tell what others could do. */
enum { BENCH_CORES = 64 };
typedef struct BenchScaling {
    double step;   /* ms, on BENCH_CORES */
    double as_cut; /* ms, there, if no region is cut into more parts than now */
    double one;    /* ms, on one core, without forks */
} BenchScaling;
BenchScaling bench_scaling(const BenchFigures *figures);
extern const char bench_formula[];

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
