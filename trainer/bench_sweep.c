/* SPDX-License-Identifier: MIT
 *
 * bench_sweep.c: sums and messages of many sizes, timed as a step makes them and as the MPI library does. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/probe.h"
#include "trainer/bench.h"

enum { SMALLEST = 1 << 16, LARGEST_ONE_NODE = 1 << 26, LARGEST_NODES = 1 << 24, LEAST_ROUNDS = 5, MOST_ROUNDS = 40 };

static const double most_seconds = 1.5; /* for a size */
enum { LEAST_ROWS = 3 };

typedef struct Buffers {
    float *params; /* node-shared */
    float *in, *out;
    size_t bytes;
} Buffers;

static size_t rounds_of(size_t bytes) {
    size_t rounds = (32u << 20) / bytes;
    return rounds < LEAST_ROUNDS ? LEAST_ROUNDS : rounds > MOST_ROUNDS ? MOST_ROUNDS : rounds;
}

static Status time_reduce(Comm *comm, const Buffers *b, size_t bytes, double *sum, double *publish) {
    Reduce *reduce;
    TRY(reduce_create(comm, b->params, bytes / sizeof(float), comm_size(comm), &reduce));
    reduce_overlap(reduce, false);
    size_t chunks;
    reduce_chunks(reduce, &chunks);
    for (size_t i = 0; i < rounds_of(bytes); i++) {
        ReduceSum result;
        comm_barrier(comm);
        double begun = clock_seconds();
        reduce_sum(reduce, NULL, 0, NULL, &result);
        double middle = clock_seconds();
        reduce_written(reduce, chunks);
        reduce_publish(reduce);
        sum[i] = middle - begun;
        publish[i] = clock_seconds() - middle;
    }
    reduce_settle(reduce);
    reduce_destroy(&reduce);
    return OK;
}

/* Half of there and back between the first ranks of the first two nodes; what the others say is 0. */
static double time_message(Comm *comm, size_t other, float *data, size_t bytes) {
    comm_barrier(comm);
    double since = clock_seconds();
    if (comm_rank(comm) == 0) {
        comm_send(comm, other, data, bytes);
        comm_receive(comm, other, data, bytes);
        return (clock_seconds() - since) / 2;
    }
    if (comm_rank(comm) == other) {
        comm_receive(comm, 0, data, bytes);
        comm_send(comm, 0, data, bytes);
    }
    return 0;
}

/* The lowest rank that is not on rank 0's node. */
static size_t first_elsewhere(Comm *comm) {
    uint64_t mine = comm_node(comm), *all = calloc(comm_size(comm), sizeof *all);
    if (!all) comm_abort(comm, ERR_INTERNAL);
    comm_exchange(comm, &mine, sizeof mine, all);
    size_t other = 0;
    while (other < comm_size(comm) && all[other] == all[0]) other++;
    free(all);
    return other;
}

static Status time_size(Comm *comm, const Buffers *b, size_t bytes, size_t other, SweepRow *row) {
    double t[6][MOST_ROUNDS];
    size_t rounds = rounds_of(bytes), floats = bytes / sizeof(float);
    TRY(time_reduce(comm, b, bytes, t[1], t[2]));
    for (size_t i = 0; i < rounds; i++) {
        double since = clock_seconds();
        memcpy(b->out, b->in, bytes);
        t[0][i] = clock_seconds() - since;
        t[3][i] = probe_mpi(comm, PROBE_ALLREDUCE, b->in, b->out, floats);
        t[4][i] = probe_mpi(comm, PROBE_IALLREDUCE, b->in, b->out, floats);
        t[5][i] = comm_nodes(comm) > 1 ? time_message(comm, other, b->out, bytes) : NAN;
    }
    double median[6];
    for (size_t k = 0; k < 6; k++) median[k] = isnan(t[k][0]) ? -1 : bench_median(t[k], rounds);
    bench_slowest(comm, median, 6);
    for (size_t k = 0; k < 6; k++)
        if (median[k] < 0) median[k] = NAN;
    *row = (SweepRow){bytes, median[0], median[1], median[2], median[3], median[4], median[5]};
    return OK;
}

/* Weights 1 / seconds^2, so that every size counts alike. */
static LinearFit fit(const Sweep *s, size_t first, size_t second) {
    double w = 0, wx = 0, wxx = 0, wy = 0, wxy = 0;
    for (size_t i = 0; i < s->rows; i++) {
        const SweepRow *r = &s->row[i];
        const double column[] = {r->copy, r->sum, r->publish, r->allreduce, r->iallreduce, r->message};
        double x = (double)r->bytes, y = column[first] + (second == first ? 0 : column[second]);
        if (!isfinite(y) || y <= 0) return (LinearFit){NAN, NAN};
        double weight = 1 / (y * y);
        w += weight, wx += weight * x, wxx += weight * x * x, wy += weight * y, wxy += weight * x * y;
    }
    double slope = (w * wxy - wx * wy) / (w * wxx - wx * wx), at_zero = (wy - slope * wx) / w;
    if (at_zero < 0) {
        at_zero = 0;
        slope = wxy / wxx;
    }
    return (LinearFit){at_zero, slope > 0 ? 1 / slope : INFINITY};
}

static Status sweep(Comm *comm, const Buffers *b, Sweep *out) {
    size_t other = first_elsewhere(comm);
    for (size_t bytes = SMALLEST; bytes <= b->bytes && out->rows < SWEEP_MOST; bytes *= 4) {
        double begun = clock_seconds();
        TRY(time_size(comm, b, bytes, other, &out->row[out->rows++]));
        double taken = clock_seconds() - begun;
        bench_slowest(comm, &taken, 1);
        if (out->rows >= LEAST_ROWS && taken > most_seconds) break; /* the next size takes four times as long */
    }
    out->copy = fit(out, 0, 0);
    out->reduce = fit(out, 1, 2);
    out->allreduce = fit(out, 3, 3);
    out->message = fit(out, 5, 5);
    return OK;
}

Status bench_sweep(Comm *comm, Sweep *out) {
    *out = (Sweep){0};
    Buffers b = {.bytes = comm_nodes(comm) > 1 ? LARGEST_NODES : LARGEST_ONE_NODE};
    void *params;
    TRY(comm_share(comm, b.bytes, "the sweep of sizes", &params));
    b.params = params;
    b.in = pages_alloc(b.bytes);
    b.out = pages_alloc(b.bytes);
    if (b.in) memset(b.in, 0, b.bytes);
    Status status = b.in && b.out ? OK : status_fail(ERR_USAGE, "memory: no room for the sweep of sizes; free some");
    status = comm_agree(comm, status);
    if (status == OK) status = sweep(comm, &b, out);
    pages_free(b.in, b.bytes);
    pages_free(b.out, b.bytes);
    return status;
}
