/* SPDX-License-Identifier: MIT
 *
 * prediction.c: picks the form, and publishes the whole file. */
#include "io/prediction.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/path.h"
#include "io/prediction_parts.h"

Status prediction_join(const PredictionForm *form, const Prediction *p, char **out, size_t *bytes) {
    FILE *joined = open_memstream(out, bytes);
    const Vocabulary *v = form->vocabulary;
    for (size_t t = 0; joined && t < p->rows; t++) {
        size_t length;
        if (!v) {
            fprintf(joined, t ? " %d" : "%d", (int)p->class[t]);
            continue;
        }
        if (t > 0 && vocabulary_parts(v, p->class[t - 1], p -> class[t])) putc(' ', joined);
        const char *text = vocabulary_token(v, p->class[t], &length);
        fwrite(text, 1, length, joined);
    }
    if (joined && fclose(joined) == 0) return OK;
    return status_fail(ERR_USAGE, "predictions: no memory for the text of %zu steps", p->rows);
}

Status prediction_create(const char *path, const PredictionForm *form, PredictionFile **out) {
    *out = NULL;
    PredictionFile *file = calloc(1, sizeof *file);
    if (!file) return status_fail(ERR_USAGE, "predictions: no memory");
    file->form = *form;
    file->path = path;
    bool h5 = path && path_is_hdf5(path);
    Status status = h5 ? prediction_h5_create(file) : path ? atomic_create(path, &file->file) : OK;
    file->open = !h5 && path && status == OK;
    if (status == OK && !h5) status = prediction_csv_head(file);
    if (status != OK) prediction_abandon(&file);
    *out = file;
    return status;
}

Status prediction_put(PredictionFile *file, const Prediction *prediction) {
    Status status = file->h5 ? prediction_h5_put(file, prediction) : prediction_csv_put(file, prediction);
    file->index++;
    return status;
}

static void release(PredictionFile **file) {
    if ((*file)->open) atomic_abandon(&(*file)->file);
    prediction_h5_destroy(&(*file)->h5);
    free((*file)->text);
    free(*file);
    *file = NULL;
}

Status prediction_publish(PredictionFile **file) {
    PredictionFile *f = *file;
    Status status = f->h5 ? prediction_h5_finish(f) : prediction_csv_flush(f);
    if (status == OK && f->open) {
        f->open = false;
        status = atomic_publish(&f->file);
    }
    release(file);
    return status;
}

void prediction_abandon(PredictionFile **file) {
    if (*file) release(file);
}
