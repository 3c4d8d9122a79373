/* SPDX-License-Identifier: MIT
 *
 * bench.c: training steps, timed, between two probes of what the same threads reach in the same minute: matrix
 * products and memory. */
#include "trainer/bench.h"

#include <stdio.h>
#include <stdlib.h>

#include "comm/arena.h"
#include "layers/ops/gemm.h"
#include "layers/ops/ops.h"

enum { WARM_UP = 3, MOST_STEPS = 100000, PEAK_SIZE = 512, BLOCK = 24 << 20 };
static const double target_seconds = 10;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *x, size_t n) {
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

void bench_slowest(Comm *comm, double *x, size_t n) {
    double *all = calloc(comm_size(comm) * n, sizeof *all);
    if (!all) comm_abort(comm, ERR_INTERNAL);
    comm_exchange(comm, x, n * sizeof *x, all);
    for (size_t r = 0; r < comm_size(comm); r++)
        for (size_t i = 0; i < n; i++)
            if (all[r * n + i] > x[i]) x[i] = all[r * n + i];
    free(all);
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

/* Bytes. Not by getrusage, which counts what the process was before it started this program. */
static double peak_memory(void) {
    char line[256];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lu", &kib) == 1) break;
    if (status) fclose(status);
    return (double)kib * 1024;
}

static Status run_steps(Session *s, size_t wanted, double *ms, BenchFigures *f) {
    StepResult r;
    uint64_t step = 0;
    for (int i = 0; i < WARM_UP; i++) TRY(stepper_take(s->stepper, ++step, 0, &r));
    double phase[PHASES], until = clock_seconds() + target_seconds;
    stepper_times(s->stepper, phase);
    reduce_times(s->engine->reduce);
    model_profile(s->engine->model, true);
    while (f->steps < (wanted ? wanted : MOST_STEPS) && f->steps < MOST_STEPS) {
        double since = clock_seconds();
        TRY(stepper_take(s->stepper, ++step, clock_seconds() > until && !wanted ? ASK_TIME : 0, &r));
        ms[f->steps++] = (clock_seconds() - since) * 1e3;
        f->rows += r.rows.inputs;
        f->targets += r.rows.targets;
        if (r.asked) break;
    }
    stepper_times(s->stepper, phase);
    ReduceTimes exchange = reduce_times(s->engine->reduce);
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
    f->exposed = exchange.exposed * scale;
    f->hidden = exchange.hidden * scale;
    f->update = phase[PHASE_OPTIMIZER] * scale;
    f->publish = phase[PHASE_PUBLISH] * scale;
    f->rows /= steps;
    f->targets /= steps;
    f->sequences = (double)s->config->train.batch_size;
    return OK;
}

Status bench_steps(Session *s, size_t wanted, BenchFigures *f) {
    *f = (BenchFigures){0};
    double *ms = calloc(MOST_STEPS, sizeof *ms);
    if (!ms) return status_fail(ERR_USAGE, "memory: no room for the times of the steps; free some");
    f->peak_gflops = sgemm_peak();
    Status status = run_steps(s, wanted, ms, f);
    if (status == OK) {
        double again = sgemm_peak();
        if (again > f->peak_gflops) f->peak_gflops = again;
        f->step_ms = bench_median(ms, f->steps);
        f->memory = peak_memory();
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
        const Model *model = s->engine->model;
        f->tokens_per_s = (f->rows + f->targets) / (f->step_ms / 1e3);
        f->gflops = (model_flops_per_row(model, PER_STEP) * f->rows +
                     model_flops_per_row(model, PER_TARGET_STEP) * f->targets) /
                    (f->step_ms / 1e3) / 1e9;
    }
    free(ms);
    return status;
}

BenchLayer bench_layer(const Session *s, const BenchFigures *f, size_t i) {
    const Model *model = s->engine->model;
    LayerTime t = model_layer_time(model, i);
    BenchLayer layer = {.forward = t.forward / (double)f->steps, .backward = t.backward / (double)f->steps};
    double seconds = (layer.forward + layer.backward) / 1e3, ranks = (double)comm_size(s->comm);
    const double rows[] = {[PER_STEP] = f->rows, [PER_SEQUENCE] = f->sequences, [PER_TARGET_STEP] = f->targets};
    double flops = model_layer_flops_per_row(model, i) * rows[model_layer(model, i)->in[0]->grain];
    /* Forward touches them once; backward reads them and writes or reads a gradient for each. */
    double floats = 3 * ranks * model_layer_floats(model, i, f->rows / ranks, f->sequences / ranks, f->targets / ranks);
    if (seconds > 0) {
        layer.gflops = flops / seconds / 1e9;
        layer.gbytes = floats * sizeof(real) / seconds / 1e9;
    }
    return layer;
}
