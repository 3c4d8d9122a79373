/* SPDX-License-Identifier: MIT
 *
 * cmd_bench.c: lockstep bench: training steps on real data, timed, beside the matrix-product peak that the
 * same threads reach in the same minute. Leaves nothing behind. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/log.h"
#include "layers/ops/gemm.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "trainer/json.h"
#include "trainer/session.h"

enum { WARM_UP = 3, MOST_STEPS = 100000, PEAK_SIZE = 512 };
static const double target_seconds = 10;

typedef struct Figures {
    double tokens_per_s, step_ms, gflops, peak_gflops;
    double data, forward, backward, reduce, optimizer; /* ms per step, the slowest rank's */
    double memory;                                     /* bytes, the largest rank's */
    size_t steps;
} Figures;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n) {
    qsort(x, n, sizeof *x, by_value);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
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

/* The largest of each figure over the ranks. */
static void slowest(Comm *comm, double *x, size_t n) {
    double *all = calloc(comm_size(comm) * n, sizeof *all);
    if (!all) comm_abort(comm, ERR_INTERNAL);
    comm_exchange(comm, x, n * sizeof *x, all);
    for (size_t r = 0; r < comm_size(comm); r++)
        for (size_t i = 0; i < n; i++)
            if (all[r * n + i] > x[i]) x[i] = all[r * n + i];
    free(all);
}

static Status run_steps(Session *s, size_t wanted, double *ms, Figures *f, StepRows *rows) {
    StepResult r;
    uint64_t step = 0;
    for (int i = 0; i < WARM_UP; i++) TRY(stepper_take(s->stepper, ++step, 0, &r));
    double phase[PHASES], until = clock_seconds() + target_seconds;
    stepper_times(s->stepper, phase);
    model_profile(s->engine->model, true);
    while (f->steps < (wanted ? wanted : MOST_STEPS) && f->steps < MOST_STEPS) {
        double since = clock_seconds();
        TRY(stepper_take(s->stepper, ++step, clock_seconds() > until && !wanted ? ASK_TIME : 0, &r));
        ms[f->steps++] = (clock_seconds() - since) * 1e3;
        rows->inputs += r.rows.inputs;
        rows->targets += r.rows.targets;
        if (r.asked) break;
    }
    stepper_times(s->stepper, phase);
    double scale = 1e3 / (double)f->steps, forward = 0, backward = 0;
    for (size_t i = 0; i < model_layers(s->engine->model); i++) {
        forward += model_layer_time(s->engine->model, i).forward;
        backward += model_layer_time(s->engine->model, i).backward;
    }
    f->data = phase[PHASE_DATA] * scale;
    f->forward = forward / (double)f->steps;
    f->backward = backward / (double)f->steps;
    f->reduce = phase[PHASE_REDUCE] * scale;
    f->optimizer = (phase[PHASE_OPTIMIZER] + phase[PHASE_PUBLISH]) * scale;
    rows->inputs /= (double)f->steps;
    rows->targets /= (double)f->steps;
    return OK;
}

static Status measure(Session *s, size_t wanted, Figures *f) {
    double *ms = calloc(MOST_STEPS, sizeof *ms);
    StepRows rows = {0};
    if (!ms) return status_fail(ERR_USAGE, "memory: no room for the times of the steps; free some");
    f->peak_gflops = sgemm_peak();
    Status status = run_steps(s, wanted, ms, f, &rows);
    if (status == OK) {
        double again = sgemm_peak();
        if (again > f->peak_gflops) f->peak_gflops = again;
        f->step_ms = median(ms, f->steps);
        f->memory = peak_memory();
        double all[] = {f->step_ms, f->data, f->forward, f->backward, f->reduce, f->optimizer, f->memory};
        slowest(s->comm, all, sizeof all / sizeof *all);
        f->step_ms = all[0], f->data = all[1], f->forward = all[2], f->backward = all[3], f->reduce = all[4],
        f->optimizer = all[5];
        f->memory = all[6];
        f->peak_gflops *= (double)comm_size(s->comm);
        const Model *model = s->engine->model;
        f->tokens_per_s = (rows.inputs + rows.targets) / (f->step_ms / 1e3);
        f->gflops = (model_flops_per_row(model, PER_STEP) * rows.inputs +
                     model_flops_per_row(model, PER_TARGET_STEP) * rows.targets) /
                    (f->step_ms / 1e3) / 1e9;
    }
    free(ms);
    return status;
}

static json_t *layers_json(const Session *s, const Figures *f) {
    json_t *list = json_array();
    for (size_t i = 0; i < model_layers(s->engine->model); i++) {
        LayerTime t = model_layer_time(s->engine->model, i);
        json_t *o = json_object();
        json_object_set_new(o, "name", json_string(model_layer(s->engine->model, i)->name));
        json_object_set_new(o, "kind", json_string(model_layer(s->engine->model, i)->type->kind));
        json_object_set_new(o, "forward", json_number(t.forward / (double)f->steps));
        json_object_set_new(o, "backward", json_number(t.backward / (double)f->steps));
        json_array_append_new(list, o);
    }
    return list;
}

static void print_json(const Session *s, const Figures *f) {
    json_t *o = json_object(), *phases = json_object();
    json_object_set_new(phases, "data", json_number(f->data));
    json_object_set_new(phases, "forward", json_number(f->forward));
    json_object_set_new(phases, "backward", json_number(f->backward));
    json_object_set_new(phases, "reduce", json_number(f->reduce));
    json_object_set_new(phases, "exchange_exposed", json_null());
    json_object_set_new(phases, "exchange_hidden", json_null());
    json_object_set_new(phases, "optimizer", json_number(f->optimizer));
    json_object_set_new(o, "tokens_per_s", json_number(f->tokens_per_s));
    json_object_set_new(o, "step_ms", json_number(f->step_ms));
    json_object_set_new(o, "gflops", json_number(f->gflops));
    json_object_set_new(o, "sgemm_peak_gflops", json_number(f->peak_gflops));
    json_object_set_new(o, "ranks", json_integer((json_int_t)comm_size(s->comm)));
    json_object_set_new(o, "threads", json_integer((json_int_t)comm_threads(s->comm)));
    json_object_set_new(o, "peak_memory_bytes", json_integer((json_int_t)f->memory));
    json_object_set_new(o, "phases", phases);
    json_object_set_new(o, "layers", layers_json(s, f));
    json_print(o);
}

static void print_plain(const Session *s, const Figures *f) {
    printf("%.0f tokens/s; median step %.2f ms of %zu; %zu ranks x %zu threads\n", f->tokens_per_s, f->step_ms,
           f->steps, comm_size(s->comm), comm_threads(s->comm));
    printf("%.1f GF/s, %.0f %% of the %.1f GF/s that matrix products reach here\n", f->gflops,
           100 * f->gflops / f->peak_gflops, f->peak_gflops);
    printf("ms per step: data %.2f, forward %.2f, backward %.2f, reduce %.2f, optimizer %.2f\n", f->data, f->forward,
           f->backward, f->reduce, f->optimizer);
    for (size_t i = 0; i < model_layers(s->engine->model); i++) {
        LayerTime t = model_layer_time(s->engine->model, i);
        printf("  %-20s forward %8.3f  backward %8.3f\n", model_layer(s->engine->model, i)->name,
               t.forward / (double)f->steps, t.backward / (double)f->steps);
    }
    printf("peak memory %.1f MiB per rank\n", f->memory / 1048576);
}

static Status bench(Comm *comm, const Config *config, size_t steps, bool json) {
    Session session;
    Figures figures = {0};
    Status status = session_open(comm, config, &session);
    if (status == OK)
        status =
            session_build(&session, config->train.shards != KEY_NULL_SIZE ? config->train.shards : comm_size(comm));
    if (status == OK) status = session_init(&session);
    if (status == OK) status = measure(&session, steps, &figures);
    if (status == OK && comm_rank(comm) == 0) (json ? print_json : print_plain)(&session, &figures);
    session_close(&session);
    return status;
}

Status command_bench(Comm *comm, int argc, char **argv) {
    size_t steps = 0;
    bool json = false;
    const Option table[] = {{"steps", OPTION_SIZE, &steps}, {"json", OPTION_FLAG, &json}, {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("bench", argc, argv, table, &rest, &count));
    TRY(arguments_file_and_overrides("bench", rest, count, "CONFIG"));
    if (json) log_level(LOG_WARN);
    Config *config = NULL;
    TRY(comm_agree(comm, config_load(rest[0], (const char *const *)rest + 1, count - 1, &config)));
    Status status = bench(comm, config, steps, json);
    config_destroy(&config);
    return status;
}
