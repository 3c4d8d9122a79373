/* SPDX-License-Identifier: MIT
 *
 * train.h: a whole run, from the data to the last checkpoint. */
#ifndef LOCKSTEP_TRAINER_TRAIN_H
#define LOCKSTEP_TRAINER_TRAIN_H

#include "comm/comm.h"
#include "trainer/config.h"

typedef struct TrainOptions {
    const char *resume; /* "auto", "never" or a path */
    bool dry_run;
    const char *trace; /* a file to write, or NULL */
} TrainOptions;

/* OK, STOPPED (75: by signal or time limit, resume) or an error on all ranks alike. Collective. */
MUST_CHECK Status train_run(Comm *comm, const Config *config, const TrainOptions *options);

#endif
