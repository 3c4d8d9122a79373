/* SPDX-License-Identifier: MIT
 *
 * rank_update.c: one rank of a benchmark, run by hand: the sum of gradients and Adam with clipping, the check for
 * values that are not finite and the sums of bits, against MPI_Allreduce and the whole of Adam on every rank,
 * in turn; beside them what memory gives to all ranks at once.
 *
 *   mpirun -n RANKS rank_update COUNT [ROUNDS] */
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/arena.h"
#include "comm/comm.h"
#include "comm/reduce.h"
#include "trainer/checks.h"
#include "trainer/optimizer.h"

typedef enum Kind { OURS, OURS_UNCHECKED, OURS_SUM, THEIRS, MEMORY, KINDS } Kind;

typedef struct Bench {
    Comm *comm;
    size_t count, rounds;
    Reduce *reduce;
    Optimizer *ours, *whole;
    Checks *checks;
    CheckTensor tensor;
    float *params, *gradient; /* shared; mine */
    float *copy, *from, *to;  /* of the other way: parameters, gradient, its sum */
    ReduceChunk *chunk;       /* of the other way: all of them */
    size_t chunks;
    double *start[KINDS], *end[KINDS];
} Bench;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec * 1e-6;
}

static double scale_of(double squares) {
    double norm = sqrt(squares);
    return isfinite(norm) && norm > 1 ? 1 / (norm + 1e-6) : 1;
}

static void our_way(Bench *b, uint64_t step, bool checked, size_t round) {
    size_t chunks;
    ReduceSum sum;
    const ReduceChunk *chunk = reduce_chunks(b->reduce, &chunks);
    Kind kind = checked ? OURS : OURS_UNCHECKED;
    b->ours->checks = checked ? b->checks : NULL;
    if (checked) checks_keep(b->checks);
    comm_barrier(b->comm);
    b->start[kind][round] = now();
    reduce_sum(b->reduce, NULL, 0, NULL, &sum);
    b->end[OURS_SUM][round] = now();
    b->start[OURS_SUM][round] = b->start[kind][round];
    optimizer_update(b->ours, step, 1e-3, scale_of(sum.sum_of_squares), chunk, 0, chunks, reduce_summed(b->reduce),
                     b->params);
    reduce_publish(b->reduce);
    b->end[kind][round] = now();
    if (checked && checks_found(b->checks, step)) exit(1);
}

static double squares(const float *x, size_t count) {
    double total[8] = {0};
    for (size_t i = 0; i < count; i += 8)
        for (size_t k = 0; k < 8; k++) total[k] += (double)x[i + k] * (double)x[i + k];
    return total[0] + total[1] + total[2] + total[3] + total[4] + total[5] + total[6] + total[7];
}

static void their_way(Bench *b, uint64_t step, size_t round) {
    comm_barrier(b->comm);
    b->start[THEIRS][round] = now();
    MPI_Allreduce(b->from, b->to, (int)b->count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    double partial[256] = {0}, sum = 0;
#pragma omp parallel for schedule(static)
    for (size_t part = 0; part < 256; part++) {
        size_t first = b->count / 16 * part / 256 * 16, end = b->count / 16 * (part + 1) / 256 * 16;
        partial[part] = squares(b->to + first, end - first);
    }
    for (size_t part = 0; part < 256; part++) sum += partial[part];
    optimizer_update(b->whole, step, 1e-3, scale_of(sum), b->chunk, 0, b->chunks, b->to, b->copy);
    b->end[THEIRS][round] = now();
}

static void memory(Bench *b, size_t round) {
    comm_barrier(b->comm);
    b->start[MEMORY][round] = now();
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < b->count; i++) b->to[i] += 0.5f * b->from[i];
    b->end[MEMORY][round] = now();
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* From the first rank's start to the last rank's end. */
static void spans(Bench *b, Kind kind, double *ms) {
    size_t size = comm_size(b->comm), bytes = b->rounds * sizeof(double);
    double *starts = malloc(size * bytes), *ends = malloc(size * bytes);
    if (!starts || !ends) exit(1);
    comm_exchange(b->comm, b->start[kind], bytes, starts);
    comm_exchange(b->comm, b->end[kind], bytes, ends);
    for (size_t i = 0; i < b->rounds; i++) {
        double first = INFINITY, last = 0;
        for (size_t r = 0; r < size; r++) {
            first = fmin(first, starts[r * b->rounds + i]);
            last = fmax(last, ends[r * b->rounds + i]);
        }
        ms[i] = last - first;
    }
    free(starts);
    free(ends);
}

static void report(Bench *b) {
    double *ms[KINDS], *ratio = calloc(b->rounds, sizeof *ratio), *cost = calloc(b->rounds, sizeof *cost);
    for (Kind k = 0; k < KINDS; k++) {
        ms[k] = calloc(b->rounds, sizeof **ms);
        if (!ms[k] || !ratio || !cost) exit(1);
        spans(b, k, ms[k]);
    }
    for (size_t i = 0; i < b->rounds; i++) {
        ratio[i] = ms[THEIRS][i] / ms[OURS][i];
        cost[i] = ms[OURS][i] / ms[OURS_UNCHECKED][i];
    }
    for (Kind k = 0; k < KINDS; k++) qsort(ms[k], b->rounds, sizeof **ms, ascending);
    qsort(ratio, b->rounds, sizeof *ratio, ascending);
    qsort(cost, b->rounds, sizeof *cost, ascending);
    size_t middle = b->rounds / 2, ranks = comm_size(b->comm);
    double floats = 4e-6 * (double)b->count;
    /* One node: each gradient read, the sum written; then it and parameter and moments read, these written. */
    double moved = floats * ((ranks > 1 ? (double)ranks + 1 : 1) + 7), copied = floats * 3 * (double)ranks;
    if (comm_rank(b->comm) == 0)
        printf("%zu floats, %zu ranks on %zu nodes, %zu threads each; ms, median (best): sum %.2f (%.2f), all %.2f "
               "(%.2f), without sums of bits %.2f (%.2f), MPI_Allreduce and Adam %.2f (%.2f)\n"
               "  ratio of pairs %.2f (quartiles %.2f, %.2f); sums of bits cost %.1f %%; GB/s at the median (best): "
               "%.1f (%.1f), memory %.1f (%.1f): %.0f %%\n",
               b->count, ranks, comm_nodes(b->comm), comm_threads(b->comm), ms[OURS_SUM][middle], ms[OURS_SUM][0],
               ms[OURS][middle], ms[OURS][0], ms[OURS_UNCHECKED][middle], ms[OURS_UNCHECKED][0], ms[THEIRS][middle],
               ms[THEIRS][0], ratio[middle], ratio[b->rounds / 4], ratio[b->rounds * 3 / 4], 100 * (cost[middle] - 1),
               moved / ms[OURS][middle], moved / ms[OURS][0], copied / ms[MEMORY][middle], copied / ms[MEMORY][0],
               100 * moved / ms[OURS][middle] / (copied / ms[MEMORY][middle]));
    for (Kind k = 0; k < KINDS; k++) free(ms[k]);
    free(ratio);
    free(cost);
}

static Status make(Bench *b) {
    static const OptimizerConfig adam = {.name = OPTIMIZER_ADAM, .betas = {0.9, 0.999}, .eps = 1e-8};
    void *shared;
    TRY(comm_share(b->comm, b->count * sizeof(float), "parameters", &shared));
    b->params = shared;
    TRY(reduce_create(b->comm, b->params, b->count, comm_size(b->comm), &b->reduce));
    TRY(optimizer_create(&adam, reduce_owned(b->reduce), &b->ours));
    TRY(optimizer_create(&adam, b->count, &b->whole));
    b->tensor = (CheckTensor){.name = "all", .span = b->count};
    TRY(checks_create(b->comm, b->reduce, b->ours, b->params, &b->tensor, 1, 1, &b->checks));
    b->gradient = reduce_gradient(b->reduce, 0);
    b->copy = pages_alloc(b->count * sizeof(float));
    b->from = pages_alloc(b->count * sizeof(float));
    b->to = pages_alloc(b->count * sizeof(float));
    b->chunks = (b->count + REDUCE_CHUNK - 1) / REDUCE_CHUNK;
    b->chunk = calloc(b->chunks, sizeof *b->chunk);
    if (!b->copy || !b->from || !b->to || !b->chunk) return status_fail(ERR_USAGE, "memory: not available");
    for (size_t c = 0, at = 0; c < b->chunks; c++, at += REDUCE_CHUNK)
        b->chunk[c] =
            (ReduceChunk){.offset = at, .at = at, .count = b->count - at < REDUCE_CHUNK ? b->count - at : REDUCE_CHUNK};
    for (Kind k = 0; k < KINDS; k++) {
        b->start[k] = calloc(b->rounds, sizeof(double));
        b->end[k] = calloc(b->rounds, sizeof(double));
        if (!b->start[k] || !b->end[k]) return status_fail(ERR_USAGE, "memory: not available");
    }
    return OK;
}

static void write_gradient(Bench *b, float *to, uint64_t step) {
    for (size_t i = 0; i < b->count; i++) to[i] = (float)((i * 2654435761u + step) % 1024) * 1e-3f - 0.5f;
}

int main(int argc, char **argv) {
    Bench b = {.rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 21};
    if (argc < 2 || comm_start(&b.comm, argc, argv) != OK) return 2;
    b.count = strtoull(argv[1], NULL, 10) / 16 * 16;
    if (comm_agree(b.comm, make(&b)) != OK) {
        fprintf(stderr, "%s\n", status_message());
        return 2;
    }
    uint64_t step = 0;
    for (size_t i = 0; i < b.rounds + 2; i++) {
        size_t round = i < 2 ? 0 : i - 2; /* the first two warm up */
        step++;
        write_gradient(&b, b.gradient, step);
        our_way(&b, step, false, round);
        write_gradient(&b, b.gradient, step);
        our_way(&b, step, true, round);
        write_gradient(&b, b.from, step);
        their_way(&b, step, round);
        memory(&b, round);
    }
    report(&b);
    checks_destroy(&b.checks);
    optimizer_destroy(&b.ours);
    optimizer_destroy(&b.whole);
    reduce_destroy(&b.reduce);
    comm_finish(&b.comm);
    return 0;
}
