/* SPDX-License-Identifier: MIT
 *
 * metrics_read.h: the curves of a run, from its metrics.csv. */
#ifndef LOCKSTEP_IO_METRICS_READ_H
#define LOCKSTEP_IO_METRICS_READ_H

#include <stddef.h>

#include "comm/status.h"

typedef struct Curve {
    double *step, *loss; /* [points] finite */
    size_t points;
} Curve;

typedef struct RunCurves {
    Curve train, validation;
} RunCurves;

/* Rows without a finite loss are left out. ERR_DATA names file, line and column. The caller's:
 * run_curves_free. Local. */
MUST_CHECK Status run_curves_read(const char *run_dir, RunCurves *out);
void run_curves_free(RunCurves *curves);

#endif
