/* SPDX-License-Identifier: MIT
 *
 * bench_recurrent.c: forward and backward of one recurrent layer in GF/s, beside what gemm() reaches on a
 * large product, measured in turn with it: bench_recurrent [kind hidden input layers batch steps directions
 * [ragged]]. Without arguments a list of shapes. OMP_NUM_THREADS says how many threads. The best of several
 * times counts, so that a neighbour on the machine disturbs less. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "layers/model.h"
#include "layers/ops/ops.h"
#include "layers/ops/random.h"
#include "layers/recurrent/recurrent.h"

enum { REPEATS = 15, WARM_UP = 2 };

typedef struct Shape {
    const char *kind;
    size_t H, I, L, B, T, D;
    bool ragged;
} Shape;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void keep_best(double *best, double time) {
    if (*best == 0 || time < *best) *best = time;
}

static real *reals(size_t count, uint64_t key) {
    real *p = aligned_alloc(64, (count * sizeof(real) + 127) / 64 * 64);
    if (!p) exit(2);
    for (size_t i = 0; i < count; i++) p[i] = (real)(2.0 * random_uniform(key, i) - 1.0);
    return p;
}

static void check(Status status) {
    if (status == OK) return;
    fprintf(stderr, "%s\n", status_message());
    exit((int)status);
}

/* Seconds of gemm() on [2048, 512] x [512, 2048]. */
enum { M = 2048, K = 512, N = 2048 };
static double probe_gemm(void) {
    static real *a, *b, *c;
    if (!a) {
        a = reals((size_t)M * K, 1);
        b = reals((size_t)K * N, 2);
        c = reals((size_t)M * N, 3);
    }
    double start = now();
    gemm(&(Gemm){.m = M, .n = N, .k = K, .a = a, .lda = K, .b = b, .c = c, .ldc = N});
    return now() - start;
}

static double gates_of(const Shape *s) {
    return strcmp(s->kind, "lstm") == 0 ? 4 : strcmp(s->kind, "gru") == 0 ? 3 : 1;
}

/* Of the products of forward, per row; backward has twice as many. */
static double flops(const Shape *s) {
    double sum = 0, H = (double)s->H, D = (double)s->D;
    for (size_t l = 0; l < s->L; l++) sum += 2.0 * gates_of(s) * H * (H + (l == 0 ? (double)s->I : H * D)) * D;
    return sum;
}

static void run(const Shape *s) {
    size_t *offset = calloc(s->B + 1, sizeof *offset), shard[2] = {0, s->B}, longest = 0;
    uint64_t *position = calloc(s->B, sizeof *position);
    if (!offset || !position) exit(2);
    for (size_t b = 0; b < s->B; b++) {
        size_t length = s->ragged ? 1 + random_permutation(5, s->T, b * s->T / s->B) : s->T;
        offset[b + 1] = offset[b] + length;
        if (length > longest) longest = length;
        position[b] = b;
    }
    size_t R = offset[s->B];
    RecurrentConfig config = {.hidden_size = s->H, .num_layers = s->L, .bidirectional = s->D == 2, .bias = true};
    LayerSpec layer = {.type = layer_type(s->kind), .name = "rnn", .config = &config};
    const char *probe = "rnn";
    ModelSpec spec = {.layer = &layer,
                      .layers = 1,
                      .loss = {.kind = LOSS_PROBE},
                      .features = s->I,
                      .seq_len = s->T,
                      .max_sequences = s->B,
                      .max_rows = R,
                      .max_length = longest,
                      .max_shards = 1,
                      .total_shards = 1,
                      .trains = true,
                      .threads = ops_threads(),
                      .probe = &probe,
                      .probes = 1,
                      .input_gradient = true};
    Model *model;
    check(model_create(&spec, &model));
    ModelMemory memory = model_memory(model);
    real *parameters = reals(memory.parameters, 1), *packed = reals(memory.packed, 1),
         *gradient = reals(memory.trainable, 1);
    real *x = reals(R * s->I, 7), *weight = reals(R * s->H * s->D, 8);
    FoldNode root = fold_root(1);
    check(model_allocate(model, parameters, packed, 1, &root, &gradient));
    model_init(model, 1, false, 0, 1);
    model_pack(model, 0, 1);
    Batch batch = {.rows = {.sequences = s->B,
                            .offset = offset,
                            .position = position,
                            .shards = 1,
                            .total_shards = 1,
                            .shard = shard,
                            .longest = longest},
                   .x = x,
                   .weight = (const real *const[]){weight}};
    ShardResult result;
    double f = 0, b = 0, g = 0;
    LayerTime before = {0};
    model_profile(model, true);
    for (int i = 0; i < WARM_UP + REPEATS; i++) {
        keep_best(&g, probe_gemm());
        before = model_layer_time(model, 0);
        model_train(model, &batch, 1, 1, NULL, NULL, &result);
        LayerTime after = model_layer_time(model, 0);
        if (i < WARM_UP) continue;
        keep_best(&f, 1e-3 * (after.forward - before.forward));
        keep_best(&b, 1e-3 * (after.backward - before.backward));
    }
    double best = 2.0 * M * N * K / g * 1e-9, work = flops(s) * (double)R * 1e-9;
    printf("%-4s H%-4zu I%-4zu L%zu B%-3zu T%-3zu D%zu%s: forward %7.2f ms %6.1f GF/s, backward %7.2f ms %6.1f GF/s, "
           "both %7.2f ms %6.1f GF/s, %3.0f %% of gemm's %.1f\n",
           s->kind, s->H, s->I, s->L, s->B, s->T, s->D, s->ragged ? " ragged" : "", f * 1e3, work / f, b * 1e3,
           2 * work / b, (f + b) * 1e3, 3 * work / (f + b), 3 * work / (f + b) / best * 100.0, best);
    model_destroy(&model);
    free(parameters);
    free(packed);
    free(gradient);
    free(x);
    free(weight);
    free(offset);
    free(position);
}

static size_t number(const char *text) {
    size_t n = strtoull(text, NULL, 10);
    if (n == 0) {
        fprintf(stderr, "bench_recurrent [kind hidden input layers batch steps directions [ragged]]\n");
        exit(2);
    }
    return n;
}

int main(int argc, char **argv) {
    static const Shape shapes[] = {{"lstm", 512, 512, 1, 32, 128, 1, false}, {"lstm", 512, 512, 2, 32, 128, 1, false},
                                   {"lstm", 128, 128, 2, 50, 50, 1, false},  {"gru", 512, 512, 1, 32, 128, 1, false},
                                   {"gru", 128, 128, 1, 64, 100, 2, false},  {"rnn", 256, 128, 1, 32, 64, 1, false},
                                   {"rnn", 512, 512, 1, 32, 128, 1, false},  {"lstm", 512, 512, 1, 32, 128, 1, true},
                                   {"lstm", 512, 512, 1, 8, 128, 1, false}};
    check(ops_start((size_t)omp_get_max_threads()));
    printf("%s, %zu threads\n", ops_isa(), ops_threads());
    if (argc > 7) {
        Shape one = {argv[1],         number(argv[2]), number(argv[3]), number(argv[4]),
                     number(argv[5]), number(argv[6]), number(argv[7]), argc > 8};
        if (!layer_type(one.kind)) return 2;
        run(&one);
    } else {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) run(&shapes[i]);
    }
    ops_stop();
    return 0;
}
