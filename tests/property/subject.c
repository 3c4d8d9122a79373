/* SPDX-License-Identifier: MIT
 *
 * subject.c: see subject.h. */
#include "tests/property/subject.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/ops/random.h"

static void *memory(size_t count, size_t each) {
    const size_t bytes = (count * each + 127) / 64 * 64;
    void *m = aligned_alloc(64, bytes);
    if (!m) abort();
    return memset(m, 0, bytes);
}

static void fill(uint64_t stream, size_t count, double middle, double reach, real *out) {
    for (size_t i = 0; i < count; i++) out[i] = (real)(middle + reach * (2 * random_uniform(stream, i) - 1));
}

static void make_batch(Subject *s, const Draw *d) {
    size_t rows = 0, longest = 0;
    for (size_t b = 0; b < d->sequences; b++) {
        rows += d->length[b];
        longest = d->length[b] > longest ? d->length[b] : longest;
        s->offset[b + 1] = rows;
        s->position[b] = b;
    }
    size_t target_longest = 0;
    for (size_t b = 0; b < d->sequences; b++) {
        s->target_offset[b + 1] = s->target_offset[b] + d->target_length[b];
        target_longest = d->target_length[b] > target_longest ? d->target_length[b] : target_longest;
    }
    s->target_ids = memory(s->target_offset[d->sequences], sizeof *s->target_ids);
    for (size_t r = 0; r < s->target_offset[d->sequences]; r++)
        s->target_ids[r] = (int32_t)(random_uniform(d->numbers ^ 5, r) * (double)d->targets);
    for (size_t n = 0; n < d->shards; n++) {
        size_t first;
        fold_items(d->sequences, d->shards, n, &first, &s->shard[n + 1]);
    }
    s->x = memory(rows * d->features, sizeof *s->x);
    s->ids = memory(rows, sizeof *s->ids);
    s->context = memory(d->sequences * d->context, sizeof *s->context);
    fill(d->numbers ^ 2, rows * d->features, 0, 1.5, s->x);
    fill(d->numbers ^ 4, d->sequences * d->context, 0, 1.5, s->context);
    for (size_t r = 0; r < rows; r++) s->ids[r] = (int32_t)(random_uniform(d->numbers ^ 3, r) * (double)d->vocabulary);
    s->batch = (Batch){.rows = {.sequences = d->sequences,
                                .offset = s->offset,
                                .position = s->position,
                                .shards = d->shards,
                                .total_shards = d->shards,
                                .shard = s->shard,
                                .longest = longest,
                                .target_offset = d->targets ? s->target_offset : NULL,
                                .target_longest = target_longest},
                       .target_ids = d->targets ? s->target_ids : NULL,
                       .ids = d->vocabulary ? s->ids : NULL,
                       .x = d->vocabulary ? NULL : s->x,
                       .context = d->context ? s->context : NULL,
                       .weight = (const real *const *)s->weight};
}

static Status make_config(Subject *s, const Draw *d) {
    char text[DRAW_TEXT + 128];
    snprintf(text, sizeof text, "data: {kind: sequences, path: none.h5}\nloss: {kind: mse}\nmodel: [%s]\n", d->layers);
    TRY(config_parse(text, "draw", NULL, 0, &s->config));
    s->spec = (ModelSpec){.layer = s->config->layer,
                          .layers = s->config->layers,
                          .loss = {.kind = LOSS_NONE, .ignore_index = INT64_MIN},
                          .ids = d->vocabulary > 0,
                          .vocabulary = d->vocabulary,
                          .features = d->features,
                          .target_grain = PER_STEP,
                          .classes = DRAW_CLASSES,
                          .context_features = d->context,
                          .target_vocabulary = d->targets,
                          .max_target_rows = s->target_offset[d->sequences],
                          .max_target_length = s->batch.rows.target_longest,
                          .seq_len = s->batch.rows.longest,
                          .max_sequences = d->sequences,
                          .max_rows = s->offset[d->sequences],
                          .max_length = s->batch.rows.longest,
                          .max_shards = d->shards,
                          .total_shards = d->shards,
                          .trains = true,
                          .threads = 2,
                          .probe = s->probe,
                          .input_gradient = true};
    return OK;
}

/* The names of the last layer's outputs are known when a model stands. */
static Status find_outputs(Subject *s) {
    Model *outline;
    TRY(model_create(&s->spec, &outline));
    const Layer *last = model_layer(outline, s->spec.layers - 1);
    s->outputs = last->outputs;
    for (size_t i = 0; i < s->outputs; i++) {
        snprintf(s->name[i], sizeof s->name[i], "%s", last->out[i]->name);
        s->probe[i] = s->name[i];
    }
    model_destroy(&outline);
    s->spec.loss.kind = LOSS_PROBE;
    s->spec.probes = s->outputs;
    return OK;
}

static void set_parameters(Subject *s, const Draw *d) {
    for (size_t i = 0; i < model_params(s->model); i++) {
        const Param *p = model_param(s->model, i);
        const uint64_t stream = d->numbers ^ random_name(p->name);
        if (p->same_as) continue;
        if (p->rank == 2) fill(stream, p->count, 0, sqrt(3 / (double)p->dim[1]), p->v);
        else fill(stream, p->count, p->init.kind == INIT_ONE ? 1 : 0, 0.5, p->v);
    }
    model_pack(s->model, 0, 1);
}

static Status make_model(Subject *s, const Draw *d) {
    FoldNode segment[FOLD_MAX_SEGMENTS];
    TRY(model_create(&s->spec, &s->model));
    const ModelMemory needed = model_memory(s->model);
    s->parameters = memory(needed.parameters, sizeof(real));
    s->packed = memory(needed.packed, sizeof(real));
    s->segments = fold_segments(d->shards, 0, d->shards, segment);
    for (size_t i = 0; i < s->segments; i++) {
        s->gradient[i] = memory(needed.trainable, sizeof(real));
        memset(s->gradient[i], 0xff, needed.trainable * sizeof(real));
    }
    TRY(model_allocate(s->model, s->parameters, s->packed, s->segments, segment, s->gradient));
    set_parameters(s, d);
    const Layer *last = model_layer(s->model, s->spec.layers - 1);
    for (size_t i = 0; i < s->outputs; i++) {
        s->output[i] = last->out[i];
        s->weight[i] = memory(subject_count(s, i), sizeof(real));
        s->result[i] = memory(subject_count(s, i), sizeof(real));
        fill(d->numbers ^ random_name("projection") ^ i, subject_count(s, i), 0, 1, s->weight[i]);
    }
    return OK;
}

Status subject_run(Subject *s, const Draw *d) {
    ShardResult result[8];
    *s = (Subject){0};
    make_batch(s, d);
    TRY(make_config(s, d));
    TRY(find_outputs(s));
    TRY(make_model(s, d));
    model_evaluate(s->model, &s->batch, result, NULL);
    for (size_t i = 0; i < s->outputs; i++) memcpy(s->result[i], s->output[i]->v, subject_count(s, i) * sizeof(real));
    model_train(s->model, &s->batch, SUBJECT_SEED, SUBJECT_STEP, NULL, NULL, result);
    for (size_t n = 0; n < d->shards; n++) s->loss += result[n].loss;
    for (size_t i = 1; i < s->segments; i++)
        for (size_t k = 0; k < model_memory(s->model).trainable; k++) s->gradient[0][k] += s->gradient[i][k];
    return OK;
}

void subject_free(Subject *s) {
    model_destroy(&s->model);
    config_destroy(&s->config);
    free(s->parameters);
    free(s->packed);
    for (size_t i = 0; i < s->segments; i++) free(s->gradient[i]);
    for (size_t i = 0; i < s->outputs; i++) {
        free(s->weight[i]);
        free(s->result[i]);
    }
    free(s->x);
    free(s->context);
    free(s->target_ids);
    free(s->ids);
    *s = (Subject){0};
}
