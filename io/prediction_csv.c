/* SPDX-License-Identifier: MIT
 *
 * prediction_csv.c: predictions as CSV. libcsv quotes what needs it. */
#include <csv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/prediction_parts.h"

enum { FLUSH_BYTES = 1 << 16 };

static Status make_room(PredictionFile *file, size_t bytes) {
    if (file->room - file->used >= bytes) return OK;
    size_t room = 2 * (file->used + bytes) + FLUSH_BYTES;
    char *more = realloc(file->text, room);
    if (!more) return status_fail(ERR_USAGE, "predictions: no memory for %zu bytes of text", room);
    file->text = more;
    file->room = room;
    return OK;
}

static Status add_bytes(PredictionFile *file, const char *text, size_t bytes) {
    TRY(make_room(file, bytes));
    memcpy(file->text + file->used, text, bytes);
    file->used += bytes;
    return OK;
}

static Status add_plain(PredictionFile *file, const char *text) {
    return add_bytes(file, text, strlen(text));
}

/* A field; quoted where a reader would take it for something else. */
static Status add_field(PredictionFile *file, const char *text, size_t bytes) {
    bool plain = bytes > 0 && text[0] != ' ' && text[0] != '\t' && text[bytes - 1] != ' ' && text[bytes - 1] != '\t';
    for (size_t i = 0; i < bytes && plain; i++)
        plain = text[i] != ',' && text[i] != '"' && text[i] != '\n' && text[i] != '\r';
    if (plain) return add_bytes(file, text, bytes);
    TRY(make_room(file, 2 * bytes + 2));
    file->used += csv_write(file->text + file->used, file->room - file->used, text, bytes);
    return OK;
}

/* A model may have more classes than the data. */
static bool has_text(const PredictionForm *form, int32_t class) {
    return form->vocabulary && class >= 0 && (size_t) class < form->vocabulary->size;
}

static Status add_token(PredictionFile *file, int32_t class) {
    char number[16];
    size_t bytes;
    if (has_text(&file->form, class)) {
        const char *token = vocabulary_token(file->form.vocabulary, class, &bytes);
        return add_field(file, token, bytes);
    }
    snprintf(number, sizeof number, "%d", (int)class);
    return add_plain(file, number);
}

/* The shortest decimal that is this float. */
static Status add_number(PredictionFile *file, float value) {
    char text[32];
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(text, sizeof text, ",%.*g", digits, (double)value);
        if (strtof(text + 1, NULL) == value) break;
    }
    return add_plain(file, text);
}

static bool row_per_step(const PredictionForm *form) {
    return form->per_step && (form->scores || !form->classes);
}

static Status add_score_names(PredictionFile *file) {
    const PredictionForm *form = &file->form;
    char name[64];
    for (size_t c = 0; c < form->columns; c++) {
        TRY(add_plain(file, ","));
        if (!form->classes && form->name) {
            TRY(add_field(file, form->name[c], strlen(form->name[c])));
            continue;
        }
        size_t bytes = 0;
        const char *token =
            form->classes && has_text(form, (int32_t)c) ? vocabulary_label(form->vocabulary, (int32_t)c, &bytes) : "";
        int n = snprintf(name, sizeof name, form->classes ? "logit:%.*s" : "value_%.*s", (int)(bytes < 48 ? bytes : 48),
                         token);
        if (!bytes) n += snprintf(name + n, sizeof name - (size_t)n, "%zu", c);
        TRY(add_field(file, name, strlen(name)));
    }
    return OK;
}

Status prediction_csv_head(PredictionFile *file) {
    const PredictionForm *form = &file->form;
    TRY(add_plain(file, "index"));
    if (form->time) {
        TRY(add_plain(file, ","));
        TRY(add_field(file, form->time, strlen(form->time)));
    }
    if (row_per_step(form)) TRY(add_plain(file, ",step"));
    if (form->classes) TRY(add_plain(file, ",predicted"));
    if (form->log_probability) TRY(add_plain(file, ",log_probability"));
    if (form->scores || !form->classes) TRY(add_score_names(file));
    return add_plain(file, "\n");
}

static Status start_row(PredictionFile *file, const Prediction *p) {
    char number[24];
    snprintf(number, sizeof number, "%zu", file->index);
    TRY(add_plain(file, number));
    if (!file->form.time) return OK;
    TRY(add_plain(file, ","));
    return add_field(file, p->time ? p->time : "", p->time ? strlen(p->time) : 0);
}

static Status add_scores(PredictionFile *file, const float *score) {
    for (size_t c = 0; c < file->form.columns; c++) TRY(add_number(file, score[c]));
    return OK;
}

static Status add_joined(PredictionFile *file, const Prediction *p) {
    char *joined;
    size_t bytes;
    TRY(prediction_join(&file->form, p, &joined, &bytes));
    Status status = add_field(file, joined, bytes);
    free(joined);
    return status;
}

static Status put_steps(PredictionFile *file, const Prediction *p) {
    for (size_t t = 0; t < p->rows; t++) {
        char step[24];
        TRY(start_row(file, p));
        snprintf(step, sizeof step, ",%zu", t);
        TRY(add_plain(file, step));
        if (file->form.classes) {
            TRY(add_plain(file, ","));
            TRY(add_token(file, p->class[t]));
        }
        TRY(add_scores(file, p->score + t * file->form.columns));
        TRY(add_plain(file, "\n"));
    }
    return OK;
}

static Status put_sequence(PredictionFile *file, const Prediction *p) {
    TRY(start_row(file, p));
    if (file->form.classes) {
        TRY(add_plain(file, ","));
        TRY(file->form.per_step ? add_joined(file, p) : add_token(file, p->class[0]));
    }
    if (file->form.log_probability) {
        char number[32];
        snprintf(number, sizeof number, ",%.9g", p->log_probability);
        TRY(add_plain(file, number));
    }
    if (file->form.scores || !file->form.classes) TRY(add_scores(file, p->score));
    return add_plain(file, "\n");
}

Status prediction_csv_put(PredictionFile *file, const Prediction *p) {
    TRY(row_per_step(&file->form) ? put_steps(file, p) : put_sequence(file, p));
    return file->used >= FLUSH_BYTES ? prediction_csv_flush(file) : OK;
}

Status prediction_csv_flush(PredictionFile *file) {
    size_t bytes = file->used;
    file->used = 0;
    if (file->path) return atomic_write(&file->file, file->text, bytes);
    int error = fflush(stdout) == 0 ? write_all(STDOUT_FILENO, file->text, bytes) : errno;
    return error == 0 ? OK : status_fail(ERR_WRITE, "cannot write predictions (stdout): %s", strerror(error));
}
