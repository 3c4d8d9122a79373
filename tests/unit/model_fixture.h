/* SPDX-License-Identifier: MIT
 *
 * model_fixture.h: little models on a little ragged batch, for tests of the layers and of the model. A
 * Sample is a global batch; a Rig is a model with all its memory, as a rank that owns the shards
 * [first, end) of it would have. Everything is a function of fixed seeds. */
#ifndef LOCKSTEP_TESTS_MODEL_FIXTURE_H
#define LOCKSTEP_TESTS_MODEL_FIXTURE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "comm/fold.h"
#include "layers/model.h"
#include "layers/ops/ops.h"
#include "layers/ops/random.h"

/* The configs of layers/embedding, multi_head_attention and self_attention. */
typedef struct EmbeddingChoice {
    size_t num_embeddings, embedding_dim;
    int64_t padding_idx;
    double max_norm, norm_type;
    bool scale_grad_by_freq, sparse;
} EmbeddingChoice;
typedef struct MultiHeadChoice {
    size_t num_heads, head_dim, out_features;
    bool bias, causal;
    double dropout;
} MultiHeadChoice;
typedef struct SelfChoice {
    size_t hidden_size;
    bool bias, causal;
    double dropout;
} SelfChoice;

enum { SAMPLE_MOST_PROBES = 8, SAMPLE_SEQUENCES = 7 };

static const size_t sample_lengths[SAMPLE_SEQUENCES] = {3, 1, 5, 2, 4, 1, 6};

static inline void *rig_memory(size_t count, size_t element) {
    void *memory = aligned_alloc(64, (count * element + 127) / 64 * 64);
    assert_non_null(memory);
    memset(memory, 0, (count * element + 127) / 64 * 64);
    return memory;
}

static inline real sample_real(uint64_t stream, size_t i) {
    return (real)(2 * random_uniform(stream, i) - 1);
}

static inline void check(Status status) {
    if (status != OK) fail_msg("%s", status_message());
}

/* ---- a global batch ------------------------------------------------------------------------------ */

typedef struct Sample {
    size_t sequences, stretch, features, vocabulary, columns;
    Grain target_grain;
    size_t offset[SAMPLE_SEQUENCES + 1];
    uint64_t position[SAMPLE_SEQUENCES];
    int32_t *ids, *classes;
    real *x, *values;
    size_t target_vocabulary, context_features; /* 0: no target's stream, no context */
    size_t target_offset[SAMPLE_SEQUENCES + 1];
    int32_t *target_ids;
    real *context;
    size_t probes, probe_features[SAMPLE_MOST_PROBES];
    Grain probe_grain[SAMPLE_MOST_PROBES];
    real *weight[SAMPLE_MOST_PROBES];
} Sample;

static inline size_t sample_row(const Sample *sample, Grain grain, size_t b) {
    return grain == PER_STEP ? sample->offset[b] : grain == PER_TARGET_STEP ? sample->target_offset[b] : b;
}

static inline size_t sample_rows(const Sample *sample, Grain grain) {
    return sample_row(sample, grain, sample->sequences);
}

/* Lengths are sample_lengths times `stretch`. features > 0: real inputs, else ids below vocabulary.
 * Targets: classes below `columns`, and values. */
static inline void sample_make(Sample *sample, size_t sequences, size_t stretch, size_t features, size_t vocabulary,
                               Grain target_grain, size_t columns) {
    *sample = (Sample){.sequences = sequences,
                       .stretch = stretch,
                       .features = features,
                       .vocabulary = vocabulary,
                       .columns = columns,
                       .target_grain = target_grain};
    for (size_t b = 0; b < sequences; b++) {
        sample->offset[b + 1] = sample->offset[b] + stretch * sample_lengths[b];
        sample->position[b] = b;
    }
    size_t rows = sample->offset[sequences], targets = sample_rows(sample, target_grain);
    sample->ids = rig_memory(rows, sizeof *sample->ids);
    sample->x = rig_memory(rows * features, sizeof *sample->x);
    sample->classes = rig_memory(targets, sizeof *sample->classes);
    sample->values = rig_memory(targets * columns, sizeof *sample->values);
    for (size_t r = 0; r < rows && vocabulary; r++)
        sample->ids[r] = (int32_t)(random_uniform(1, r) * (double)vocabulary);
    for (size_t i = 0; i < rows * features; i++) sample->x[i] = sample_real(2, i);
    for (size_t t = 0; t < targets && columns; t++)
        sample->classes[t] = (int32_t)(random_uniform(3, t) * (double)columns);
    for (size_t i = 0; i < targets * columns; i++) sample->values[i] = sample_real(4, i);
}

/* A second stream of steps, lengths in the reverse order, and targets for its steps. */
static inline void sample_target(Sample *sample, size_t vocabulary) {
    sample->target_vocabulary = vocabulary;
    for (size_t b = 0; b < sample->sequences; b++)
        sample->target_offset[b + 1] =
            sample->target_offset[b] + sample->stretch * sample_lengths[SAMPLE_SEQUENCES - 1 - b];
    size_t rows = sample_rows(sample, PER_TARGET_STEP);
    sample->target_ids = rig_memory(rows, sizeof *sample->target_ids);
    for (size_t r = 0; r < rows; r++) sample->target_ids[r] = (int32_t)(random_uniform(40, r) * (double)vocabulary);
    sample->target_grain = PER_TARGET_STEP;
    free(sample->classes);
    sample->classes = rig_memory(rows, sizeof *sample->classes);
    for (size_t r = 0; r < rows && sample->columns; r++)
        sample->classes[r] = (int32_t)(random_uniform(41, r) * (double)sample->columns);
}

static inline void sample_context(Sample *sample, size_t features) {
    sample->context_features = features;
    sample->context = rig_memory(sample->sequences * features, sizeof *sample->context);
    for (size_t i = 0; i < sample->sequences * features; i++) sample->context[i] = sample_real(42, i);
}

static inline void sample_free(Sample *sample) {
    free(sample->target_ids);
    free(sample->context);
    free(sample->ids);
    free(sample->x);
    free(sample->classes);
    free(sample->values);
    for (size_t p = 0; p < sample->probes; p++) free(sample->weight[p]);
}

static inline void sample_probe(Sample *sample, const Value *value) {
    size_t p = sample->probes++, count = sample_rows(sample, value->grain) * value->features;
    assert_true(p < SAMPLE_MOST_PROBES);
    sample->probe_features[p] = value->features;
    sample->probe_grain[p] = value->grain;
    sample->weight[p] = rig_memory(count, sizeof(real));
    for (size_t i = 0; i < count; i++) sample->weight[p][i] = sample_real(5 + p, i);
}

/* ---- a rank's model --------------------------------------------------------------------------------- */

typedef struct Rig {
    ModelSpec spec;
    Model *model;
    const Sample *sample;
    real *parameters, *packed;
    size_t first_shard, end_shard;
    FoldNode segment[FOLD_MAX_SEGMENTS];
    size_t segments;
    real *gradient[FOLD_MAX_SEGMENTS];
    Batch batch;
    size_t offset[SAMPLE_SEQUENCES + 1], target_offset[SAMPLE_SEQUENCES + 1], shard[64];
    const real *weight[SAMPLE_MOST_PROBES];
    ShardResult result[64];
} Rig;

static inline void rig_batch(Rig *rig, size_t total_shards) {
    const Sample *sample = rig->sample;
    size_t first, end, unused;
    fold_items(sample->sequences, total_shards, rig->first_shard, &first, &unused);
    fold_items(sample->sequences, total_shards, rig->end_shard - 1, &unused, &end);
    for (size_t b = first; b <= end; b++) {
        rig->offset[b - first] = sample->offset[b] - sample->offset[first];
        rig->target_offset[b - first] = sample->target_offset[b] - sample->target_offset[first];
    }
    size_t shards = rig->end_shard - rig->first_shard;
    for (size_t s = 0; s < shards; s++) {
        size_t begin;
        fold_items(sample->sequences, total_shards, rig->first_shard + s, &begin, &unused);
        rig->shard[s] = begin - first;
        rig->shard[s + 1] = unused - first;
    }
    size_t row = sample->offset[first], target = sample_row(sample, sample->target_grain, first);
    rig->batch = (Batch){
        .rows = {.sequences = end - first,
                 .offset = rig->offset,
                 .target_offset = sample->target_vocabulary ? rig->target_offset : NULL,
                 .position = sample->position + first,
                 .shards = shards,
                 .first_shard = rig->first_shard,
                 .total_shards = total_shards,
                 .shard = rig->shard,
                 .longest = 6 * sample->stretch,
                 .target_longest = 6 * sample->stretch},
        .ids = sample->vocabulary ? sample->ids + row : NULL,
        .x = sample->features ? sample->x + row * sample->features : NULL,
        .target_ids = sample->target_vocabulary ? sample->target_ids + sample->target_offset[first] : NULL,
        .context = sample->context_features ? sample->context + first * sample->context_features : NULL,
        .classes = sample->classes + target,
        .values = sample->values + target * sample->columns,
        .weight = rig->weight,
    };
    for (size_t p = 0; p < sample->probes; p++)
        rig->weight[p] =
            sample->weight[p] + sample_row(sample, sample->probe_grain[p], first) * sample->probe_features[p];
}

/* The spec of a model on a sample; layers, loss and probes are the caller's to set. */
static inline ModelSpec rig_spec(const Sample *sample, const LayerSpec *layer, size_t layers, LossKind loss) {
    return (ModelSpec){.layer = layer,
                       .layers = layers,
                       .loss = {.kind = loss, .ignore_index = INT64_MIN},
                       .ids = sample->features == 0,
                       .vocabulary = sample->vocabulary,
                       .features = sample->features,
                       .target_grain = sample->target_grain,
                       .classes = sample->columns,
                       .seq_len = 6 * sample->stretch,
                       .max_sequences = sample->sequences,
                       .max_rows = sample->offset[sample->sequences],
                       .max_length = 6 * sample->stretch,
                       .target_vocabulary = sample->target_vocabulary,
                       .context_features = sample->context_features,
                       .max_target_rows = sample_rows(sample, PER_TARGET_STEP),
                       .max_target_length = 6 * sample->stretch,
                       .max_shards = 1,
                       .total_shards = 1,
                       .trains = true,
                       .threads = 1};
}

/* Makes the model of the rank that owns shards [first, end) of `total`, with initial parameters. */
static inline void rig_start(Rig *rig, const ModelSpec *spec, const Sample *sample, size_t first, size_t end,
                             size_t total) {
    *rig = (Rig){.spec = *spec, .sample = sample, .first_shard = first, .end_shard = end};
    rig->spec.max_shards = end - first;
    rig->spec.total_shards = total;
    check(model_create(&rig->spec, &rig->model));
    ModelMemory memory = model_memory(rig->model);
    rig->parameters = rig_memory(memory.parameters, sizeof(real));
    rig->packed = rig_memory(memory.packed, sizeof(real));
    if (spec->trains) rig->segments = fold_segments(total, first, end, rig->segment);
    for (size_t i = 0; i < rig->segments; i++) {
        rig->gradient[i] = rig_memory(memory.trainable, sizeof(real));
        memset(rig->gradient[i], 0xff, memory.trainable * sizeof(real));
    }
    check(model_allocate(rig->model, rig->parameters, rig->packed, rig->segments, rig->segment, rig->gradient));
    model_init(rig->model, 1, false, 0, 1);
    model_pack(rig->model, 0, 1);
    rig_batch(rig, total);
}

static inline void rig_stop(Rig *rig) {
    model_destroy(&rig->model);
    free(rig->parameters);
    free(rig->packed);
    for (size_t i = 0; i < rig->segments; i++) free(rig->gradient[i]);
}

/* One training pass; the sum of the shards' losses. */
static inline double rig_train(Rig *rig, ModelReady ready, void *context) {
    double loss = 0;
    model_train(rig->model, &rig->batch, 11, 1, ready, context, rig->result);
    for (size_t s = 0; s < rig->batch.rows.shards; s++) loss += rig->result[s].loss;
    return loss;
}

/* ---- layers of a list ---------------------------------------------------------------------------------- */

/* A layer with the config of its kind's case `number`. */
static inline LayerSpec spec_of(const char *kind, const char *name, size_t number) {
    const LayerType *type = layer_type(kind);
    assert_non_null(type);
    return (LayerSpec){.type = type, .name = name, .config = (void *)(uintptr_t)type->cases[number].config};
}

/* The config of layers/linear. */
typedef struct LinearChoice {
    size_t out_features;
    bool bias;
    const char *tie;
} LinearChoice;

/* ---- a model of one case ----------------------------------------------------------------------------- */

typedef struct CaseModel {
    LayerSpec layer[2]; /* of a decoder's case: an embedding of the target first */
    size_t layers;
    EmbeddingChoice embedding;
    const char *input[2], *target;
    Sample sample;
    ModelSpec spec;
    const char *probe[SAMPLE_MOST_PROBES];
    char name[SAMPLE_MOST_PROBES][64];
} CaseModel;

/* The layer alone on the data; the loss is a random projection of all its outputs. */
static inline void case_start(CaseModel *model, const LayerType *type, const LayerCase *layer_case, bool decodes,
                              size_t sequences, size_t stretch) {
    *model = (CaseModel){.layers = decodes ? 2 : 1,
                         .embedding = {KEY_NULL_SIZE, layer_case->features, INT64_MIN, NAN, 2, false, false},
                         .input = {decodes ? "query" : "data", "data"},
                         .target = "target"};
    model->layer[0] = (LayerSpec){.type = layer_type("embedding"),
                                  .name = "query",
                                  .config = &model->embedding,
                                  .input = &model->target,
                                  .inputs = 1};
    model->layer[model->layers - 1] = (LayerSpec){.type = type,
                                                  .name = type->kind,
                                                  .config = (void *)(uintptr_t)layer_case->config,
                                                  .input = model->input,
                                                  .inputs = decodes ? 2 : type->min_inputs};
    sample_make(&model->sample, sequences, stretch, layer_case->features, layer_case->vocabulary, PER_STEP, 5);
    sample_context(&model->sample, 3);
    if (decodes) sample_target(&model->sample, 9);
    model->spec = rig_spec(&model->sample, model->layer, model->layers, LOSS_NONE);
    Model *outline;
    check(model_create(&model->spec, &outline));
    const Layer *layer = model_layer(outline, model->layers - 1);
    for (size_t i = 0; i < layer->outputs; i++) {
        snprintf(model->name[i], sizeof model->name[i], "%s", layer->out[i]->name);
        model->probe[i] = model->name[i];
        sample_probe(&model->sample, layer->out[i]);
    }
    model->spec.loss.kind = LOSS_PROBE;
    model->spec.probe = model->probe;
    model->spec.probes = layer->outputs;
    model->spec.input_gradient = true;
    model_destroy(&outline);
}

/* Does `body` for every case of every kind, as `type`, `layer_case` and `decodes`. */
#define EACH_CASE(body)                                                                                                \
    for (const LayerType *const *type = layer_types(); *type; type++)                                                  \
        for (int decodes = 0; decodes < 2; decodes++)                                                                  \
            for (const LayerCase *layer_case = decodes ? (*type)->decoder_cases : (*type)->cases;                      \
                 layer_case && layer_case->name; layer_case++)                                                         \
    body

static inline void case_stop(CaseModel *model) {
    sample_free(&model->sample);
}

/* Kernels for a group of tests, on one thread. */
static inline int start_kernels(void **state) {
    (void)state;
    return ops_start(1) == OK ? 0 : 1;
}

static inline int stop_kernels(void **state) {
    (void)state;
    ops_stop();
    return 0;
}

#endif
