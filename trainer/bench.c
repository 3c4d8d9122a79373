/* SPDX-License-Identifier: MIT
 *
 * bench.c: training steps, timed, between two probes of what the same threads reach in the same minute: matrix
 * products and memory. */
#include "trainer/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "layers/ops/gemm.h"
#include "layers/ops/ops.h"
#include "layers/ops/probe.h"

enum { WARM_UP = 3, MOST_STEPS = 100000, PEAK_SIZE = 512, BLOCK = 24 << 20, COMMON_CACHE = 256 << 10 };
static const double target_seconds = 10;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *x, size_t n) {
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

/* x [n] of every rank, rank by rank; the caller's. Collective. */
static double *of_ranks(Comm *comm, const double *x, size_t n) {
    double *all = calloc(comm_size(comm) * n, sizeof *all);
    if (!all) comm_abort(comm, ERR_INTERNAL);
    comm_exchange(comm, x, n * sizeof *x, all);
    return all;
}

void bench_slowest(Comm *comm, double *x, size_t n) {
    double *all = of_ranks(comm, x, n);
    for (size_t r = 0; r < comm_size(comm); r++)
        for (size_t i = 0; i < n; i++)
            if (all[r * n + i] > x[i]) x[i] = all[r * n + i];
    free(all);
}

static double sum_of_ranks(Comm *comm, double mine) {
    double sum = 0, *all = of_ranks(comm, &mine, 1);
    for (size_t r = 0; r < comm_size(comm); r++) sum += all[r];
    free(all);
    return sum;
}

/* GF/s of a square product by all threads of this rank, the best of several. */
static double sgemm_peak(void) {
    size_t n = PEAK_SIZE, bytes = n * n * sizeof(real);
    real *a = pages_alloc(bytes), *b = pages_alloc(packed_count(n, n) * sizeof(real)), *c = pages_alloc(bytes);
    double best = 0;
    if (a && b && c) {
        for (size_t i = 0; i < n * n; i++) a[i] = (real)(i % 7) / 7;
        pack_plain(a, n, in_order(n), n, 0, panel_count(n), b);
        Gemm product = {.m = n, .n = n, .k = n, .a = a, .lda = n, .b = b, .c = c, .ldc = n};
        for (double until = clock_seconds() + 0.3; clock_seconds() < until;) {
            double since = clock_seconds();
            gemm(&product);
            double rate = 2 * (double)n * (double)n * (double)n / (clock_seconds() - since) / 1e9;
            if (rate > best) best = rate;
        }
    }
    pages_free(a, bytes);
    pages_free(b, packed_count(n, n) * sizeof(real));
    pages_free(c, bytes);
    return best;
}

/* GB/s of y = x + y by all threads of this rank, while all other ranks do the same. */
static double memory_peak(Comm *comm) {
    size_t bytes = BLOCK * sizeof(real);
    real *x = pages_alloc(bytes), *y = pages_alloc(bytes);
    double best = 0;
    if (x && y) {
        op_zero(BLOCK, x);
        op_zero(BLOCK, y);
    }
    comm_barrier(comm);
    for (int i = 0; i < 6 && x && y; i++) {
        double since = clock_seconds();
        op_add(BLOCK, x, y);
        double rate = 3 * (double)bytes / (clock_seconds() - since) / 1e9;
        if (rate > best) best = rate;
    }
    pages_free(x, bytes);
    pages_free(y, bytes);
    return best;
}

/* GB/s out of the second cache, half of which is used. */
static double cache_peak(void) {
    const size_t bytes = comm_cache(2);
    return probe_cache((bytes ? bytes : COMMON_CACHE) / 2) / 1e9;
}

/* Whether all that a step touches stays in the third cache; where there is none, or none known: no. */
static bool fits_cache(const Engine *e, double ranks) {
    const ModelMemory *m = &e->memory;
    const double own = (double)(m->activations + m->saved + m->tmp);
    /* Parameters, gradient and two moments. */
    const double shared = (double)(4 * m->parameters + m->packed) * sizeof(real);
    return own * ranks + shared < (double)comm_cache(3);
}

/* Bytes of a line of one of this process's files; 0 where there is none. */
static double process_bytes(const char *path, const char *line_begins) {
    char line[256];
    unsigned long kib = 0;
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, line_begins, strlen(line_begins)) == 0 &&
            sscanf(line + strlen(line_begins), " %lu", &kib) == 1)
            break;
    if (file) fclose(file);
    return (double)kib * 1024;
}

/* The peak of this rank and of all together, where a page that several ranks map counts once. Not by getrusage,
 * which counts what the process was before it started this program. Collective. */
static void measure_memory(Comm *comm, BenchFigures *f) {
    static const char rollup[] = "/proc/self/smaps_rollup";
    f->memory = process_bytes("/proc/self/status", "VmHWM:");
    const double pss = process_bytes(rollup, "Pss:"), doubled = pss > 0 ? process_bytes(rollup, "Rss:") - pss : 0;
    f->job_memory = sum_of_ranks(comm, f->memory - doubled);
}

/* What the regions and waits of all steps, which took `total` ms, come to in one of them. */
static void book_regions(const Session *s, BenchFigures *f, double total, const RegionTimes *regions,
                         const CommWaits *waits) {
    const RegionTimes now = region_times();
    const CommWaits waited = comm_waits(s->comm);
    const double steps = (double)f->steps, ms = 1e-6 / steps, inside = (double)(now.inside - regions->inside) * ms;
    f->forks = (double)(now.count - regions->count) / steps;
    f->parallel = (double)(now.worked - regions->worked) * ms;
    f->parallel_as_cut = (now.worked_64 - regions->worked_64) * ms;
    f->idle = f->forks > 0 ? inside - f->parallel / (double)comm_threads(s->comm) : 0;
    f->waits = (double)(waited.count - waits->count) / steps;
    f->waited = (waited.seconds - waits->seconds) * 1e3 / steps;
    f->serial = comm_threads(s->comm) > 1 ? total / steps - inside - f->waited : NAN;
}

static Status run_steps(Session *s, size_t wanted, double *ms, BenchWaits *usual, BenchWaits *alone, BenchFigures *f) {
    StepResult r;
    ReduceTimes exchange = {0};
    uint64_t step = 0;
    if (comm_nodes(s->comm) > 1) TRY(bench_alone(s, &step, alone));
    for (int i = 0; i < WARM_UP; i++) TRY(stepper_take(s->stepper, ++step, 0, &r));
    double phase[PHASES], until = clock_seconds() + target_seconds;
    stepper_times(s->stepper, phase);
    reduce_times(s->engine->reduce);
    model_profile(s->engine->model, true);
    const RegionTimes regions = region_times();
    const CommWaits waits = comm_waits(s->comm);
    double total = 0;
    while (f->steps < (wanted ? wanted : MOST_STEPS) && f->steps < MOST_STEPS) {
        double since = clock_seconds();
        TRY(stepper_take(s->stepper, ++step, clock_seconds() > until && !wanted ? ASK_TIME : 0, &r));
        ms[f->steps] = (clock_seconds() - since) * 1e3;
        total += ms[f->steps++];
        ReduceTimes times = reduce_times(s->engine->reduce);
        bench_waits_add(usual, &times);
        for (int h = 0; h < REDUCE_HALVES; h++) {
            exchange.exposed[h] += times.exposed[h];
            exchange.hidden[h] += times.hidden[h];
        }
        f->rows += r.rows.inputs;
        f->targets += r.rows.targets;
        if (r.asked) break;
    }
    book_regions(s, f, total, &regions, &waits);
    stepper_times(s->stepper, phase);
    engine_settle(s->engine);
    double steps = (double)f->steps, scale = 1e3 / steps, forward = 0, backward = 0;
    for (size_t i = 0; i < model_layers(s->engine->model); i++) {
        forward += model_layer_time(s->engine->model, i).forward;
        backward += model_layer_time(s->engine->model, i).backward;
    }
    f->data = phase[PHASE_DATA] * scale;
    f->forward = forward / steps;
    f->backward = backward / steps;
    f->reduce = phase[PHASE_REDUCE] * scale;
    for (int h = 0; h < REDUCE_HALVES; h++) {
        f->exposed += exchange.exposed[h] * scale;
        f->hidden += exchange.hidden[h] * scale;
    }
    f->update = phase[PHASE_OPTIMIZER] * scale;
    f->publish = phase[PHASE_PUBLISH] * scale;
    f->rows /= steps;
    f->targets /= steps;
    f->sequences = (double)s->config->train.batch_size;
    if (comm_nodes(s->comm) > 1) bench_halves(s->comm, usual, alone, f->half);
    return OK;
}

static double flops_of(const Model *model, const BenchFigures *f) {
    double flops = 0;
    for (size_t i = 0; i < model_layers(model); i++)
        flops += model_layer_work(model, i, f->rows, f->sequences, f->targets).flops;
    return flops;
}

Status bench_steps(Session *s, size_t wanted, BenchFigures *f) {
    *f = (BenchFigures){0};
    double *ms = calloc(MOST_STEPS, sizeof *ms);
    BenchWaits *usual = bench_waits_create(), *alone = bench_waits_create();
    const bool room = ms && usual && alone;
    Status status = comm_agree(
        s->comm, room ? OK : status_fail(ERR_USAGE, "memory: no room for the times of the steps; free some"));
    if (status != OK) {
        free(ms);
        free(usual);
        free(alone);
        return status;
    }
    f->peak_gflops = sgemm_peak();
    status = run_steps(s, wanted, ms, usual, alone, f);
    if (status == OK) {
        double again = sgemm_peak();
        if (again > f->peak_gflops) f->peak_gflops = again;
        f->step_ms = bench_median(ms, f->steps);
        measure_memory(s->comm, f);
        double *const figure[] = {&f->step_ms, &f->data,   &f->forward, &f->backward, &f->reduce,
                                  &f->exposed, &f->hidden, &f->update,  &f->publish,  &f->memory};
        enum { FIGURES = sizeof figure / sizeof *figure };
        double all[FIGURES];
        for (size_t i = 0; i < FIGURES; i++) all[i] = *figure[i];
        bench_slowest(s->comm, all, FIGURES);
        for (size_t i = 0; i < FIGURES; i++) *figure[i] = all[i];
        double ranks = (double)comm_size(s->comm);
        f->peak_gflops *= ranks;
        f->peak_gbytes = memory_peak(s->comm) * ranks;
        f->cache_gbytes = cache_peak() * ranks;
        f->fork_us = probe_fork() * 1e6;
        f->cached = fits_cache(s->engine, ranks);
        f->last_caches = comm_caches(s->comm, 3);
        f->tokens_per_s = (f->rows + f->targets) / (f->step_ms / 1e3);
        f->gflops = flops_of(s->engine->model, f) / (f->step_ms / 1e3) / 1e9;
    }
    free(alone);
    free(usual);
    free(ms);
    return status;
}
