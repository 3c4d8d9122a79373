/* SPDX-License-Identifier: MIT
 *
 * plot.h: loss curves of runs as pictures. */
#ifndef LOCKSTEP_TRAINER_PLOT_H
#define LOCKSTEP_TRAINER_PLOT_H

#include "io/metrics_read.h"

enum { PLOT_MOST_RUNS = 26 };

typedef struct PlotRun {
    const char *name;
    RunCurves curves;
} PlotRun;

/* Characters on stdout: a small letter for a run's training, the capital for its validation. */
void plot_ascii(const PlotRun *run, size_t runs);

/* By the program gnuplot, as SVG or PNG by the path's ending; there whole or not at all. ERR_USAGE if there is
 * no gnuplot, ERR_WRITE. */
MUST_CHECK Status plot_gnuplot(const PlotRun *run, size_t runs, const char *path);

#endif
