/* SPDX-License-Identifier: MIT
 *
 * scaling.h: how the columns of a series are brought to a size that a model learns from, and back:
 * scaled = (value - shift) / scale. Taken from the training rows, kept in the checkpoint. */
#ifndef LOCKSTEP_IO_SCALING_H
#define LOCKSTEP_IO_SCALING_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/status.h"

typedef enum ScalingKind { SCALING_STANDARD, SCALING_MINMAX, SCALING_NONE } ScalingKind; /* order of the choices */

typedef struct Scaling {
    ScalingKind kind;
    size_t columns;
    char **name;   /* [columns] different */
    double *shift; /* [columns] mean, or minimum */
    double *scale; /* [columns] standard deviation, or maximum - minimum; > 0, 1 for a constant column */
} Scaling;

/* Copies the names; shift 0 and scale 1. The caller's: scaling_destroy. Local. */
MUST_CHECK Status scaling_create(ScalingKind kind, const char *const *name, size_t columns, Scaling **out);
void scaling_destroy(Scaling **scaling);

/* From rows [rows, columns] of finite numbers; rows > 0. */
void scaling_measure(Scaling *scaling, const double *value, size_t rows);

/* Index of a column; `columns` if there is none of that name. */
size_t scaling_find(const Scaling *scaling, const char *name);

static inline double scaling_apply(const Scaling *s, size_t column, double value) {
    return (value - s->shift[column]) / s->scale[column];
}
static inline double scaling_undo(const Scaling *s, size_t column, double value) {
    return value * s->scale[column] + s->shift[column];
}

/* "standard"; -1 for a text that is no kind. */
const char *scaling_kind_name(ScalingKind kind);
int scaling_kind_parse(const char *name);

#endif
