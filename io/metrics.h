/* SPDX-License-Identifier: MIT
 *
 * metrics.h: RUN/metrics.csv, one row per logged step or evaluation:
 * step,epoch,split,loss,accuracy,lr,grad_norm,tokens_per_s,seconds. Numbers carry 9 significant digits,
 * a value that is not defined is left empty. */
#ifndef LOCKSTEP_IO_METRICS_H
#define LOCKSTEP_IO_METRICS_H

#include <stdint.h>

#include "comm/status.h"

typedef struct MetricsRow {
    uint64_t step;
    double epoch;
    const char *split;                                           /* "train" | "validation" */
    double loss, accuracy, lr, grad_norm, tokens_per_s, seconds; /* NAN: empty */
} MetricsRow;

typedef struct Metrics Metrics;

/* Opens RUN/metrics.csv for appending, makes it with its header if it is not there, and cuts back rows
 * after `step`. ERR_WRITE, ERR_DATA for a file of another form. The caller's: metrics_close. Local. */
MUST_CHECK Status metrics_open(const char *run_dir, uint64_t step, Metrics **out);
/* Appends and flushes one row. */
MUST_CHECK Status metrics_append(Metrics *metrics, const MetricsRow *row);
void metrics_close(Metrics **metrics);

/* Whole files, for config.yaml: written under a temporary name, synced and renamed. */
MUST_CHECK Status file_write(const char *path, const char *text);
/* Makes a directory and its parents; ERR_WRITE with the reason. */
MUST_CHECK Status directory_make(const char *path);

#endif
