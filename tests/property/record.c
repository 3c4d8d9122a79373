/* SPDX-License-Identifier: MIT
 *
 * record.c: see record.h. */
#include "tests/property/record.h"

#include <stdlib.h>
#include <string.h>

static FILE *open_for_writing(const char *stem, const char *end) {
    char path[4096];
    const int n = snprintf(path, sizeof path, "%s%s", stem, end);
    FILE *file = n > 0 && (size_t)n < sizeof path ? fopen(path, "wb") : NULL;
    if (!file) fprintf(stderr, "test_property: %s%s cannot be written\n", stem, end);
    return file;
}

bool record_open(Record *record, const char *stem) {
    *record = (Record){0};
    if (!stem) return true;
    record->lines = open_for_writing(stem, ".jsonl");
    record->floats = open_for_writing(stem, ".f32");
    return record->lines && record->floats;
}

bool record_close(Record *record) {
    if (!record->lines) return true;
    const bool lines = fclose(record->lines) == 0, floats = fclose(record->floats) == 0;
    if (!lines || !floats) fprintf(stderr, "test_property: the record could not be written whole\n");
    return lines && floats;
}

static void tensor(Record *record, const char *group, const char *name, size_t rows, size_t cols, const float *a,
                   size_t terms, double floor) {
    if (!record->lines) return;
    fprintf(record->lines, "%s\"%s/%s\": [%zu, %zu, %zu, %zu, %.9g]", record->first ? "" : ", ", group, name,
            record->written, rows, cols, terms, floor);
    record->first = false;
    record->written += fwrite(a, sizeof *a, rows * cols, record->floats);
}

void record_draw(Record *record, const Draw *d, size_t rows) {
    if (!record->lines) return;
    fprintf(
        record->lines,
        "{\"kind\": \"%s\", \"number\": %zu, \"seed\": %llu, \"drops\": %s, \"features\": %zu, \"vocabulary\": %zu, "
        "\"context\": %zu, \"targets\": %zu, \"classes\": %d, \"rows\": %zu, \"layers\": [%s], \"lengths\": [",
        d->kind, d->number, (unsigned long long)d->seed, d->drops ? "true" : "false", d->features, d->vocabulary,
        d->context, d->targets, DRAW_CLASSES, rows, d->layers);
    for (size_t b = 0; b < d->sequences; b++) fprintf(record->lines, "%s%zu", b ? ", " : "", d->length[b]);
    fprintf(record->lines, "], \"target_lengths\": [");
    for (size_t b = 0; b < (d->targets ? d->sequences : 0); b++)
        fprintf(record->lines, "%s%zu", b ? ", " : "", d->target_length[b]);
    fprintf(record->lines, "], \"tensors\": {");
    record->first = true;
}

void record_ids(Record *record, const char *name, const int32_t *ids, size_t rows) {
    float *as = malloc((rows + 1) * sizeof *as);
    if (!as) abort();
    for (size_t r = 0; r < rows; r++) as[r] = (float)ids[r];
    tensor(record, "x", name, rows, 1, as, 0, 0);
    free(as);
}

void record_reals(Record *record, const char *name, const real *x, size_t rows, size_t features) {
    tensor(record, "x", name, rows, features, x, 0, 0);
}

void record_param(Record *record, const Param *p) {
    tensor(record, "model", p->name, p->rank == 2 ? p->dim[0] : 1, p->rank == 2 ? p->dim[1] : p->dim[0], p->v, 0, 0);
}

void record_tensor(Record *record, const char *group, const char *name, const Tensor *like, const real *a, size_t terms,
                   double floor) {
    tensor(record, group, name, like->rows, like->cols, a, terms, floor);
}

void record_end(Record *record) {
    if (record->lines) fprintf(record->lines, "}}\n");
}
