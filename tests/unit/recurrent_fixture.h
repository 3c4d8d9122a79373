/* SPDX-License-Identifier: MIT
 *
 * recurrent_fixture.h: a model of one recurrent layer on a ragged batch of made-up numbers, whose loss is a
 * weighted sum of its outputs. */
#ifndef LOCKSTEP_TESTS_UNIT_RECURRENT_FIXTURE_H
#define LOCKSTEP_TESTS_UNIT_RECURRENT_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "layers/model.h"
#include "layers/ops/ops.h"
#include "layers/ops/random.h"
#include "layers/recurrent/recurrent.h"

enum { MAX_B = 40, OUT = 1, H_N = 2, C_N = 4 };

/* What one model of one recurrent layer is made for. */
typedef struct Setup {
    const char *kind;
    RecurrentConfig config;
    size_t I, B, length[MAX_B];
    size_t threads, shards;
    unsigned probes;
    bool infers; /* planned without backward */
    bool carry;
} Setup;

typedef struct Rig {
    Setup setup;
    RecurrentConfig config;
    LayerSpec layer;
    ModelSpec spec;
    Model *model;
    real *parameters, *packed, *gradient;
    size_t offset[MAX_B + 1], shard[MAX_B + 1], R, F;
    uint64_t position[MAX_B];
    real *x, *weight[3], context[MAX_B * 2];
    const char *probe[3];
    ShardResult result[MAX_B];
} Rig;

static const char *const kinds[] = {"rnn", "lstm", "gru"};
enum { KINDS = 3 };

/* B ragged lengths in [1, T], the same for the same T and B. */
static inline void ragged(Setup *setup, size_t B, size_t T) {
    setup->B = B;
    for (size_t b = 0; b < B; b++) setup->length[b] = 1 + random_permutation(T * 64 + B, T, b % T);
}

static real noise(uint64_t key, uint64_t i) {
    return (real)(2.0 * random_uniform(key, i) - 1.0);
}

static real *reals(size_t count) {
    real *p = aligned_alloc(64, (count * sizeof(real) + 127) / 64 * 64);
    assert_non_null(p);
    memset(p, 0, count * sizeof(real));
    return p;
}

static void rig_probe(Rig *rig, unsigned which, const char *name, size_t count) {
    if (!(rig->setup.probes & which)) return;
    real *weight = reals(count);
    for (size_t i = 0; i < count; i++) weight[i] = noise(100 + which, i);
    rig->probe[rig->spec.probes] = name;
    rig->weight[rig->spec.probes++] = weight;
}

static void rig_start(Rig *rig, const Setup *setup) {
    *rig = (Rig){.setup = *setup, .config = setup->config};
    if (rig->setup.shards == 0) rig->setup.shards = 1;
    if (rig->setup.probes == 0) rig->setup.probes = OUT;
    ops_stop();
    assert_int_equal(ops_start(setup->threads), OK);
    size_t longest = 0, B = setup->B, D = setup->config.bidirectional ? 2 : 1;
    for (size_t b = 0; b < B; b++) {
        rig->offset[b + 1] = rig->offset[b] + setup->length[b];
        rig->position[b] = b;
        if (setup->length[b] > longest) longest = setup->length[b];
    }
    rig->R = rig->offset[B];
    rig->F = D * setup->config.hidden_size;
    for (size_t s = 0; s < rig->setup.shards; s++)
        fold_items(B, rig->setup.shards, s, &rig->shard[s], &rig->shard[s + 1]);
    rig->layer = (LayerSpec){.type = layer_type(setup->kind), .name = "rnn", .config = &rig->config};
    rig->spec = (ModelSpec){.layer = &rig->layer,
                            .layers = 1,
                            .features = setup->I,
                            .context_features = 2,
                            .seq_len = longest,
                            .max_sequences = B,
                            .max_rows = rig->R,
                            .max_length = longest,
                            .max_shards = rig->setup.shards,
                            .total_shards = rig->setup.shards,
                            .trains = !setup->infers,
                            .threads = setup->threads,
                            .probe = rig->probe};
    size_t states = B * setup->config.num_layers * rig->F;
    if (!setup->infers) {
        rig->spec.loss.kind = LOSS_PROBE;
        rig->spec.input_gradient = true;
        rig_probe(rig, OUT, "rnn", rig->R * rig->F);
        rig_probe(rig, H_N, "rnn.h_n", states);
        rig_probe(rig, C_N, "rnn.c_n", states);
    }
    for (size_t i = 0; i < 2 * B; i++) rig->context[i] = noise(8, i);
    rig->x = reals(rig->R * setup->I);
    for (size_t i = 0; i < rig->R * setup->I; i++) rig->x[i] = noise(7, i);

    Status status = model_create(&rig->spec, &rig->model);
    if (status != OK) fail_msg("%s", status_message());
    ModelMemory memory = model_memory(rig->model);
    rig->parameters = reals(memory.parameters);
    rig->packed = reals(memory.packed);
    rig->gradient = reals(memory.trainable);
    FoldNode segment[FOLD_MAX_SEGMENTS];
    size_t segments = fold_segments(rig->setup.shards, 0, rig->setup.shards, segment);
    assert_int_equal(segments, 1);
    assert_int_equal(
        model_allocate(rig->model, rig->parameters, rig->packed, setup->infers ? 0 : 1, segment, &rig->gradient), OK);
    model_poison(rig->model, true);
    model_init(rig->model, 3, false, 0, 1);
    model_pack(rig->model, 0, 1);
}

static void rig_stop(Rig *rig) {
    model_destroy(&rig->model);
    free(rig->parameters);
    free(rig->packed);
    free(rig->gradient);
    free(rig->x);
    for (size_t i = 0; i < rig->spec.probes; i++) free(rig->weight[i]);
    ops_stop();
}

static Batch rig_batch(const Rig *rig) {
    size_t longest = 0;
    for (size_t b = 0; b < rig->setup.B; b++)
        if (rig->setup.length[b] > longest) longest = rig->setup.length[b];
    return (Batch){.rows = {.sequences = rig->setup.B,
                            .offset = rig->offset,
                            .position = rig->position,
                            .shards = rig->setup.shards,
                            .total_shards = rig->setup.shards,
                            .shard = rig->shard,
                            .longest = longest},
                   .x = rig->x,
                   .context = rig->context,
                   .weight = (const real *const *)rig->weight};
}

static void rig_train(Rig *rig) {
    Batch batch = rig_batch(rig);
    model_train(rig->model, &batch, 11, 5, NULL, NULL, rig->result);
}

static const Param *rig_param(const Rig *rig, const char *name) {
    for (size_t i = 0; i < model_params(rig->model); i++)
        if (strcmp(model_param(rig->model, i)->name, name) == 0) return model_param(rig->model, i);
    fail_msg("no parameter %s", name);
    return NULL;
}

#endif
