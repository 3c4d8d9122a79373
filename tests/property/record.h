/* SPDX-License-Identifier: MIT
 *
 * record.h: draws on paper, for another judge. STEM.jsonl has one JSON object a line:
 *
 *   kind, number, layers (the model's list), drops, features, vocabulary, context, classes, lengths, target_lengths, rows,
 *   tensors: {"<group>/<name>": [first float in STEM.f32, rows, columns, K, floor]}
 *
 * with the groups x (reals or ids, context, target), model (parameters), output, projection, input and context (gradient),
 * gradient. A record
 * that was opened without a stem takes nothing. */
#ifndef LOCKSTEP_TESTS_PROPERTY_RECORD_H
#define LOCKSTEP_TESTS_PROPERTY_RECORD_H

#include <stdio.h>

#include "layers/layer.h"
#include "tests/property/draw.h"
#include "tests/property/tape.h"

typedef struct Record {
    FILE *lines, *floats;
    size_t written; /* floats */
    bool first;
} Record;

bool record_open(Record *record, const char *stem);
bool record_close(Record *record);

void record_draw(Record *record, const Draw *draw, size_t rows);
void record_ids(Record *record, const char *name, const int32_t *ids, size_t rows);
void record_reals(Record *record, const char *name, const real *x, size_t rows, size_t features);
void record_param(Record *record, const Param *param);
/* `a` has the size of `like`. */
void record_tensor(Record *record, const char *group, const char *name, const Tensor *like, const real *a, size_t terms,
                   double floor);
void record_end(Record *record);

#endif
