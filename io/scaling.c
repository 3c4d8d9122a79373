/* SPDX-License-Identifier: MIT
 *
 * scaling.c: sums in row order, the variance in a second pass around the mean. */
#include "io/scaling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const kind_name[] = {"standard", "minmax", "none"};

const char *scaling_kind_name(ScalingKind kind) {
    return kind_name[kind];
}

int scaling_kind_parse(const char *name) {
    for (int i = 0; i < 3; i++)
        if (strcmp(name, kind_name[i]) == 0) return i;
    return -1;
}

Status scaling_create(ScalingKind kind, const char *const *name, size_t columns, Scaling **out) {
    *out = NULL;
    Scaling *made = calloc(1, sizeof *made);
    if (!made) return status_fail(ERR_USAGE, "scaling: no memory");
    *made = (Scaling){.kind = kind,
                      .columns = columns,
                      .name = calloc(columns + 1, sizeof *made->name),
                      .shift = calloc(columns + 1, sizeof *made->shift),
                      .scale = calloc(columns + 1, sizeof *made->scale)};
    bool whole = made->name && made->shift && made->scale;
    for (size_t i = 0; i < columns && whole; i++) {
        made->scale[i] = 1;
        whole = (made->name[i] = strdup(name[i])) != NULL;
    }
    if (!whole) {
        scaling_destroy(&made);
        return status_fail(ERR_USAGE, "scaling: no memory for %zu columns", columns);
    }
    *out = made;
    return OK;
}

void scaling_destroy(Scaling **scaling) {
    Scaling *s = *scaling;
    if (!s) return;
    for (size_t i = 0; s->name && i < s->columns; i++) free(s->name[i]);
    free(s->name);
    free(s->shift);
    free(s->scale);
    free(s);
    *scaling = NULL;
}

static void measure_standard(Scaling *s, size_t c, const double *value, size_t rows) {
    double sum = 0, squares = 0, n = (double)rows;
    for (size_t i = 0; i < rows; i++) sum += value[i * s->columns + c];
    double mean = sum / n;
    for (size_t i = 0; i < rows; i++) {
        double off = value[i * s->columns + c] - mean;
        squares += off * off;
    }
    s->shift[c] = mean;
    s->scale[c] = sqrt(squares / n);
}

static void measure_minmax(Scaling *s, size_t c, const double *value, size_t rows) {
    double least = value[c], most = value[c];
    for (size_t i = 1; i < rows; i++) {
        least = fmin(least, value[i * s->columns + c]);
        most = fmax(most, value[i * s->columns + c]);
    }
    s->shift[c] = least;
    s->scale[c] = most - least;
}

void scaling_measure(Scaling *s, const double *value, size_t rows) {
    for (size_t c = 0; c < s->columns; c++) {
        if (s->kind == SCALING_STANDARD) measure_standard(s, c, value, rows);
        if (s->kind == SCALING_MINMAX) measure_minmax(s, c, value, rows);
        /* A constant column whose mean is rounded has a spread of rounding errors. */
        if (!(s->scale[c] > 1e-12 * fabs(s->shift[c]))) s->scale[c] = 1;
    }
}

size_t scaling_find(const Scaling *s, const char *name) {
    size_t i = 0;
    while (i < s->columns && strcmp(s->name[i], name) != 0) i++;
    return i;
}
