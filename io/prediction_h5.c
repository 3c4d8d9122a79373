/* SPDX-License-Identifier: MIT
 *
 * prediction_h5.c: predictions as HDF5. Data sets have their full size from the start; some sequences at a
 * time are filled in. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/column.h"
#include "io/h5_new.h"
#include "io/prediction_parts.h"

static const size_t BLOCK_CELLS = (size_t)1 << 20;

struct PredictionH5 {
    NewH5 out;
    bool open;
    hid_t class, score;          /* data sets; < 0: there is none */
    size_t steps;                /* of every sequence: the longest, or 1 */
    size_t block, first, filled; /* sequences in the block, the first, how many wait */
    int32_t *class_block;        /* [block, steps] */
    float *score_block;          /* [block, steps, columns] */
    int64_t *length;             /* [sequences] */
    double *log_probability;     /* [sequences] a decoder's, else NULL */
    char **time, **text;         /* [sequences] owned */
};

/* The texts of the classes, or the names of the values. */
static Status put_names(const PredictionFile *file) {
    const PredictionForm *form = &file->form;
    if (!form->classes && form->name)
        return new_h5_texts(&file->h5->out, "columns", (char *const *)(uintptr_t)form->name, form->columns);
    if (form->classes && form->vocabulary && form->vocabulary->token)
        return new_h5_texts(&file->h5->out, "classes", form->vocabulary->token, form->vocabulary->size);
    return OK;
}

static Status create_sets(PredictionFile *file) {
    PredictionH5 *h5 = file->h5;
    const PredictionForm *form = &file->form;
    hsize_t with_steps[] = {form->sequences, h5->steps, form->columns}, without[] = {form->sequences, form->columns};
    if (form->classes) {
        h5->class = new_h5_set(&h5->out, "predicted", H5T_STD_I32LE, form->per_step ? 2 : 1, with_steps);
        if (h5->class < 0) return new_h5_fail(&h5->out, "predicted");
    }
    if (form->scores || !form->classes) {
        const char *name = form->classes ? "logits" : "values";
        h5->score =
            new_h5_set(&h5->out, name, H5T_IEEE_F32LE, form->per_step ? 3 : 2, form->per_step ? with_steps : without);
        if (h5->score < 0) return new_h5_fail(&h5->out, name);
    }
    return put_names(file);
}

Status prediction_h5_create(PredictionFile *file) {
    const PredictionForm *form = &file->form;
    PredictionH5 *h5 = calloc(1, sizeof *h5);
    if (!h5) return status_fail(ERR_USAGE, "predictions: no memory");
    *h5 = (PredictionH5){.class = H5I_INVALID_HID, .score = H5I_INVALID_HID};
    file->h5 = h5;
    h5->steps = form->per_step ? form->longest : 1;
    size_t cells;
    if (__builtin_mul_overflow(h5->steps, form->columns, &cells))
        return status_fail(ERR_USAGE, "predictions: their size overflows");
    h5->block = cells >= BLOCK_CELLS ? 1 : BLOCK_CELLS / (cells ? cells : 1);
    if (h5->block > form->sequences) h5->block = form->sequences;
    TRY(cells_allocate(h5->block * h5->steps, sizeof *h5->class_block, "predictions", (void **)&h5->class_block));
    TRY(cells_allocate(form->sequences, sizeof *h5->length, "predictions", (void **)&h5->length));
    if (form->scores || !form->classes)
        TRY(cells_allocate(h5->block, cells * sizeof *h5->score_block, "predictions", (void **)&h5->score_block));
    if (form->log_probability)
        TRY(cells_allocate(form->sequences, sizeof *h5->log_probability, "predictions", (void **)&h5->log_probability));
    if (form->log_probability && form->vocabulary && !(h5->text = calloc(form->sequences + 1, sizeof *h5->text)))
        return status_fail(ERR_USAGE, "predictions: no memory for %zu texts", form->sequences);
    if (form->time && !(h5->time = calloc(form->sequences + 1, sizeof *h5->time)))
        return status_fail(ERR_USAGE, "predictions: no memory for %zu times", form->sequences);
    TRY(new_h5_create(file->path, &h5->out));
    h5->open = true;
    h5_lock();
    Status status = create_sets(file);
    h5_unlock();
    return status;
}

static Status flush(PredictionFile *file) {
    PredictionH5 *h5 = file->h5;
    size_t steps = h5->steps;
    h5_lock();
    Status status = new_h5_rows(&h5->out, h5->class, H5T_NATIVE_INT32, h5->class_block, h5->first, h5->filled, steps);
    if (status == OK)
        status = new_h5_rows(&h5->out, h5->score, H5T_NATIVE_FLOAT, h5->score_block, h5->first, h5->filled,
                             steps * file->form.columns);
    h5_unlock();
    h5->filled = 0;
    return status;
}

Status prediction_h5_put(PredictionFile *file, const Prediction *p) {
    PredictionH5 *h5 = file->h5;
    if (h5->filled == 0) h5->first = file->index;
    size_t at = h5->filled++ * h5->steps, columns = file->form.columns;
    for (size_t t = 0; t < h5->steps; t++) {
        bool there = t < p->rows;
        if (file->form.classes) h5->class_block[at + t] = there ? p->class[t] : -1;
        for (size_t c = 0; h5->score_block && c < columns; c++)
            h5->score_block[(at + t) * columns + c] = there ? p->score[t * columns + c] : NAN;
    }
    h5->length[file->index] = (int64_t)p->rows;
    if (h5->log_probability) h5->log_probability[file->index] = p->log_probability;
    size_t bytes;
    if (h5->text) TRY(prediction_join(&file->form, p, &h5->text[file->index], &bytes));
    if (h5->time && !(h5->time[file->index] = strdup(p->time ? p->time : "")))
        return status_fail(ERR_USAGE, "predictions: no memory for a time");
    return h5->filled == h5->block ? flush(file) : OK;
}

static Status put_last(PredictionFile *file) {
    PredictionH5 *h5 = file->h5;
    hsize_t sequences = file->form.sequences;
    if (file->form.per_step) {
        H5_SCOPED set = new_h5_set(&h5->out, "lengths", H5T_STD_I64LE, 1, &sequences);
        if (set < 0 || H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, h5->length) < 0)
            return new_h5_fail(&h5->out, "lengths");
    }
    if (h5->log_probability) {
        H5_SCOPED set = new_h5_set(&h5->out, "log_probability", H5T_IEEE_F64LE, 1, &sequences);
        TRY(new_h5_rows(&h5->out, set, H5T_NATIVE_DOUBLE, h5->log_probability, 0, file->form.sequences, 1));
    }
    if (h5->text) TRY(new_h5_texts(&h5->out, "text", h5->text, file->form.sequences));
    if (h5->time) TRY(new_h5_texts(&h5->out, "time", h5->time, file->form.sequences));
    h5_release(&h5->class);
    h5_release(&h5->score);
    return OK;
}

Status prediction_h5_finish(PredictionFile *file) {
    TRY(flush(file));
    h5_lock();
    Status status = put_last(file);
    h5_unlock();
    TRY(status);
    file->h5->open = false;
    return new_h5_publish(&file->h5->out);
}

void prediction_h5_destroy(PredictionH5 **out) {
    PredictionH5 *h5 = *out;
    if (!h5) return;
    h5_lock();
    h5_release(&h5->class);
    h5_release(&h5->score);
    h5_unlock();
    if (h5->open) new_h5_abandon(&h5->out);
    for (size_t i = 0; h5->time && h5->time[i]; i++) free(h5->time[i]);
    free(h5->time);
    for (size_t i = 0; h5->text && h5->text[i]; i++) free(h5->text[i]);
    free(h5->text);
    free(h5->log_probability);
    free(h5->length);
    free(h5->score_block);
    free(h5->class_block);
    free(h5);
    *out = NULL;
}
