/* SPDX-License-Identifier: MIT
 *
 * attention_long.c [THREADS]: multi-head attention over long sequences, 4 of 4,096 steps, 8 heads, 512 features,
 * causal and not: one training pass (forward and backward, projections included). Fails where the process has
 * needed more than 1 GiB for the layer: what the kernel counted as its peak, less what it held before the layer
 * was there. Prints that, the plan's own figure, the time and its rate. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/fold.h"
#include "layers/model.h"
#include "layers/ops/ops.h"
#include "layers/ops/random.h"

enum { B = 4, T = 4096, HEADS = 8, E = 512, ROWS = B * T };

static const size_t GIB = (size_t)1 << 30;

/* The config of layers/multi_head_attention. */
typedef struct MultiHeadChoice {
    size_t num_heads, head_dim, out_features;
    bool bias, causal;
    double dropout;
} MultiHeadChoice;

/* A line "name: <n> kB" of /proc/self/status, in bytes. */
static size_t status_bytes(const char *name) {
    char line[256];
    unsigned long long kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (strncmp(line, name, strlen(name)) == 0) sscanf(line + strlen(name), ": %llu", &kilobytes);
    fclose(file);
    return (size_t)kilobytes * 1024;
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Touched, so that it counts as held. */
static real *memory(size_t count, uint64_t stream) {
    real *x = aligned_alloc(64, (count * sizeof *x + 127) / 64 * 64);
    if (!x) abort();
    for (size_t i = 0; i < count; i++) x[i] = stream ? (real)(2 * random_uniform(stream, i) - 1) : 0;
    return x;
}

static void must(Status status) {
    if (status == OK) return;
    fprintf(stderr, "attention_long: %s\n", status_message());
    exit(1);
}

/* Multiply-adds count twice; backward makes the weights again, which is work that need not be done. */
static double flops(bool causal) {
    const double scores = 2.0 * B * (double)T * (causal ? (T + 1) / 2.0 : T) * E, maps = 2.0 * ROWS * (double)E * E * 4;
    return (2 + 4) * scores + 3 * maps;
}

static bool run(bool causal, size_t threads, const Batch *batch) {
    MultiHeadChoice heads = {HEADS, KEY_NULL_SIZE, KEY_NULL_SIZE, true, causal, 0};
    const LayerSpec layer = {.type = layer_type("multi_head_attention"), .name = "att", .config = &heads};
    const char *const probe[] = {"att"};
    const ModelSpec spec = {.layer = &layer,
                            .layers = 1,
                            .loss = {.kind = LOSS_PROBE, .ignore_index = INT64_MIN},
                            .features = E,
                            .seq_len = T,
                            .max_sequences = B,
                            .max_rows = ROWS,
                            .max_length = T,
                            .max_shards = 1,
                            .total_shards = 1,
                            .trains = true,
                            .threads = threads,
                            .probe = probe,
                            .probes = 1,
                            .input_gradient = true};
    const size_t before = status_bytes("VmRSS");
    Model *model;
    must(model_create(&spec, &model));
    const ModelMemory planned = model_memory(model);
    const size_t plan = planned.activations + planned.saved + planned.tmp + planned.state +
                        (planned.parameters + planned.trainable + planned.packed) * sizeof(real);
    real *parameters = memory(planned.parameters, 0), *packed = memory(planned.packed, 0),
         *gradient = memory(planned.trainable, 0);
    FoldNode segment[FOLD_MAX_SEGMENTS];
    must(model_allocate(model, parameters, packed, fold_segments(1, 0, 1, segment), segment, &gradient));
    model_init(model, 1, false, 0, 1);
    model_pack(model, 0, 1);
    ShardResult result;
    const double start = seconds(CLOCK_MONOTONIC), busy = seconds(CLOCK_PROCESS_CPUTIME_ID);
    model_train(model, batch, 1, 1, NULL, NULL, &result);
    const double took = seconds(CLOCK_MONOTONIC) - start, work = seconds(CLOCK_PROCESS_CPUTIME_ID) - busy;
    const size_t peak = status_bytes("VmHWM"), needed = peak > before ? peak - before : 0;
    bool fine = isfinite(result.loss) && needed > 0 && needed <= GIB && plan <= GIB;
    for (size_t i = 0; i < planned.trainable; i++) fine = fine && isfinite(gradient[i]);
    printf("%-10s planned %zu MiB, needed %zu MiB, %.2f s on %zu threads, %.1f GF in a second of a core%s\n",
           causal ? "causal" : "all keys", plan >> 20, needed >> 20, took, threads, flops(causal) / work / 1e9,
           fine ? "" : "  FAILED");
    model_destroy(&model);
    free(parameters);
    free(packed);
    free(gradient);
    return fine;
}

int main(int argc, char **argv) {
    const size_t threads = argc > 1 ? (size_t)strtoul(argv[1], NULL, 10) : 2;
    static const size_t offset[] = {0, T, 2 * T, 3 * T, 4 * T}, shard[] = {0, B};
    static const uint64_t position[] = {0, 1, 2, 3};
    must(ops_start(threads));
    real *x = memory((size_t)ROWS * E, 1), *weight = memory((size_t)ROWS * E, 2);
    const real *const weights[] = {weight};
    const Batch batch = {.rows = {.sequences = B,
                                  .offset = offset,
                                  .position = position,
                                  .shards = 1,
                                  .total_shards = 1,
                                  .shard = shard,
                                  .longest = T},
                         .x = x,
                         .weight = weights};
    const bool causal = run(true, threads, &batch), all = run(false, threads, &batch);
    free(x);
    free(weight);
    ops_stop();
    return causal && all ? 0 : 1;
}
