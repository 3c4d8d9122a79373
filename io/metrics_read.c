/* SPDX-License-Identifier: MIT
 *
 * metrics_read.c: a run may still be writing: rows count as they stand. */
#include "io/metrics_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/column.h"
#include "io/csv_file.h"

typedef struct Reading {
    size_t step_at, split_at, loss_at, last; /* columns */
    RunCurves *curves;
    double step, loss;
    Curve *curve; /* of the row; NULL: neither */
} Reading;

static Status find(const CsvFile *csv, const char *name, size_t *out) {
    for (*out = 0; *out < csv->columns; ++*out)
        if (strcmp(csv->name[*out], name) == 0) return OK;
    return status_fail(ERR_DATA, "%s:1: no column %s; a run's metrics begin with step,epoch,split,loss", csv->path,
                       name);
}

static Status number(const CsvFile *csv, size_t row, size_t column, const char *text, double *out) {
    char *end;
    *out = *text ? strtod(text, &end) : NAN;
    if (!*text || *end == '\0') return OK;
    return csv_fail(ERR_DATA, csv, row, column, "'%.40s' is not a number", text);
}

static Status take(void *context, const CsvFile *csv, size_t row, size_t column, const char *text, size_t bytes) {
    (void)bytes;
    Reading *r = context;
    if (column == 0) r->curve = NULL;
    if (column == r->step_at) TRY(number(csv, row, column, text, &r->step));
    if (column == r->loss_at) TRY(number(csv, row, column, text, &r->loss));
    if (column == r->split_at && strcmp(text, "train") == 0) r->curve = &r->curves->train;
    if (column == r->split_at && strcmp(text, "validation") == 0) r->curve = &r->curves->validation;
    if (column != r->last || !r->curve || !isfinite(r->step) || !isfinite(r->loss)) return OK;
    r->curve->step[r->curve->points] = r->step;
    r->curve->loss[r->curve->points++] = r->loss;
    return OK;
}

static Status make_room(size_t rows, const char *path, Curve *curve) {
    TRY(cells_allocate(rows, sizeof *curve->step, path, (void **)&curve->step));
    return cells_allocate(rows, sizeof *curve->loss, path, (void **)&curve->loss);
}

static Status read_curves(const CsvFile *csv, RunCurves *out) {
    Reading r = {.last = csv->columns - 1, .curves = out};
    size_t rows, most = csv_rows_most(csv);
    TRY(find(csv, "step", &r.step_at));
    TRY(find(csv, "split", &r.split_at));
    TRY(find(csv, "loss", &r.loss_at));
    TRY(make_room(most, csv->path, &out->train));
    TRY(make_room(most, csv->path, &out->validation));
    return csv_read(csv, take, &r, &rows);
}

Status run_curves_read(const char *run_dir, RunCurves *out) {
    *out = (RunCurves){0};
    size_t room = strlen(run_dir) + sizeof "/metrics.csv";
    char *path = malloc(room);
    CsvFile csv;
    if (!path) return status_fail(ERR_USAGE, "plot: no memory");
    snprintf(path, room, "%s/metrics.csv", run_dir);
    Status status = csv_open(path, &csv);
    if (status == OK) {
        status = read_curves(&csv, out);
        csv_close(&csv);
    }
    if (status != OK) run_curves_free(out);
    free(path);
    return status;
}

void run_curves_free(RunCurves *curves) {
    Curve *curve[] = {&curves->train, &curves->validation};
    for (size_t i = 0; i < 2; i++) {
        free(curve[i]->step);
        free(curve[i]->loss);
    }
    *curves = (RunCurves){0};
}
