/* SPDX-License-Identifier: MIT
 *
 * session.h: everything that a training step needs, made from a config: data, model on its ranks,
 * optimizer, loader, stepper. Shared by training and bench. */
#ifndef LOCKSTEP_TRAINER_SESSION_H
#define LOCKSTEP_TRAINER_SESSION_H

#include "trainer/checks.h"
#include "trainer/engine.h"
#include "trainer/loader.h"
#include "trainer/optimizer.h"
#include "trainer/step.h"

typedef struct Session {
    Comm *comm;
    const Config *config;
    Data *data;
    Engine *engine;
    Optimizer *optimizer;
    CheckTensor *tensor; /* parameters by their place in the flat block */
    Checks *checks;
    Loader *loader;
    Stepper *stepper;
    char *config_text; /* effective, with absolute paths */
    uint64_t total;    /* steps of the whole run; UINT64_MAX: no end */
} Session;

/* Opens the data and checks that all ranks run the same program on the same config. ERR_... on all ranks
 * alike. Release with session_close in any case. Collective. */
MUST_CHECK Status session_open(Comm *comm, const Config *config, Session *out);

/* Builds model and optimizer for `shards` shards; parameters are zero. Collective. */
MUST_CHECK Status session_build(Session *session, size_t shards);

/* Parameters by run.init_from or run.init. Collective. */
MUST_CHECK Status session_init(Session *session);

void session_close(Session *session);

/* What a model was trained on, as far as other data must be read alike. NULL and 0: the data's own. */
typedef struct DataKnown {
    const Vocabulary *vocabulary, *target_vocabulary;
    const Scaling *scaling;
    size_t classes;
} DataKnown;

/* Opens the data that a config names. The caller's: data_close. Local. */
MUST_CHECK Status session_open_data(const Config *config, const DataKnown *known, Data **out);
/* The same as a description; `known` must outlive it. */
DataConfig session_data_config(const Config *config, const DataKnown *known);
/* That description for all of another file. The caller's: data_close. Local. */
MUST_CHECK Status session_open_file(DataConfig config, const char *path, Data **out);

#endif
