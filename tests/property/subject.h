/* SPDX-License-Identifier: MIT
 *
 * subject.h: what is judged: Lockstep's model of a draw, with random parameters and data, run forward for
 * evaluation and forward and backward for training. The loss is a random projection of all outputs of the last
 * layer. */
#ifndef LOCKSTEP_TESTS_PROPERTY_SUBJECT_H
#define LOCKSTEP_TESTS_PROPERTY_SUBJECT_H

#include "tests/property/draw.h"
#include "trainer/config.h"

enum { SUBJECT_SEED = 11, SUBJECT_STEP = 1, SUBJECT_OUTPUTS = LAYER_MAX_OUTPUTS };

typedef struct Subject {
    Config *config;
    Model *model;
    real *parameters, *packed;
    size_t segments;
    real *gradient[8]; /* of segment i; the first holds the sum of all after subject_run */
    size_t offset[DRAW_MOST_SEQUENCES + 1], shard[8];
    uint64_t position[DRAW_MOST_SEQUENCES];
    Batch batch;
    real *x, *context;
    int32_t *ids, *target_ids;
    size_t target_offset[DRAW_MOST_SEQUENCES + 1];
    size_t outputs;
    const Value *output[SUBJECT_OUTPUTS];
    char name[SUBJECT_OUTPUTS][96];
    const char *probe[SUBJECT_OUTPUTS];
    real *weight[SUBJECT_OUTPUTS]; /* of the projection */
    real *result[SUBJECT_OUTPUTS]; /* of evaluation */
    double loss;                   /* of training */
    ModelSpec spec;
} Subject;

/* Builds and runs; the caller's: subject_free, also on failure. */
Status subject_run(Subject *s, const Draw *draw);
void subject_free(Subject *s);

static inline size_t subject_count(const Subject *s, size_t output) {
    return rows_of(&s->batch.rows, s->output[output]->grain) * s->output[output]->features;
}

#endif
