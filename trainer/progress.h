/* SPDX-License-Identifier: MIT
 *
 * progress.h: how a run shows that it lives: one line that renews itself on a terminal, plain lines
 * elsewhere. By rank 0, on stderr. */
#ifndef LOCKSTEP_TRAINER_PROGRESS_H
#define LOCKSTEP_TRAINER_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "trainer/config.h"
#include "trainer/step.h"

typedef struct Progress {
    bool bar, silent;
    uint64_t total;        /* last step, 0: unknown */
    double max_seconds;    /* of training, NAN: none */
    uint64_t first_step;   /* the step the run (re)started after */
    double started, drawn; /* clock_seconds */
    double rate;           /* tokens/s, smoothed */
} Progress;

/* Stdout and stderr are terminals and no launcher variables are set. Local. */
bool on_terminal(void);

Progress progress_start(const Config *config, uint64_t first_step, uint64_t total);
/* After every step; redraws at most ten times a second and only on a terminal. */
void progress_step(Progress *progress, uint64_t step, double epoch, const StepResult *result, double step_seconds);
/* A log row: a plain line where there is no terminal. */
void progress_row(Progress *progress, uint64_t step, double epoch, const StepResult *result, double tokens_per_s);
/* Leaves the terminal's line. */
void progress_end(Progress *progress);

#endif
