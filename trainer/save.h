/* SPDX-License-Identifier: MIT
 *
 * save.h: a run's checkpoints: bringing the state together on rank 0, writing it in the background,
 * finding and loading the newest one that verifies. */
#ifndef LOCKSTEP_TRAINER_SAVE_H
#define LOCKSTEP_TRAINER_SAVE_H

#include "trainer/engine.h"
#include "trainer/optimizer.h"

/* What a run knows of itself beside its parameters. */
typedef struct RunState {
    uint64_t step, epoch; /* epochs that are complete */
    double best_loss;     /* best validation loss so far, NAN: none */
    uint64_t best_step, since_best;
} RunState;

typedef struct Saver Saver;

/* `config_text` is stored in every checkpoint and must outlive the saver. The caller's: saver_destroy
 * (which waits for the writer). Local. */
MUST_CHECK Status saver_create(Engine *engine, Optimizer *optimizer, const Data *data, const char *config_text,
                               Saver **out);
void saver_destroy(Saver **saver);

/* Takes a copy of the state and writes it, in the background if checkpoint.async. A write that fails is
 * warned of and tried again at the next save; a `last` one fails with ERR_WRITE on all ranks. Updates
 * last.h5 and best.h5 and prunes. Collective. */
MUST_CHECK Status saver_save(Saver *saver, const RunState *state, bool last);

/* ---- resuming ------------------------------------------------------------------------------------- */

typedef struct Resume {
    bool found;
    uint64_t step, shards;
    RunState state;
    CheckpointFile *file; /* on rank 0 alone, NULL elsewhere; the caller's: checkpoint_close */
} Resume;

/* A mode for runs that write nothing: does not look. */
#define RESUME_NOT ""

/* mode: "auto", "never", RESUME_NOT or a path. Looks, verifies, and compares config and data with what they were.
 * Says which checkpoint is used and why newer ones were refused. Collective. */
MUST_CHECK Status resume_find(Comm *comm, const Config *config, const Data *data, const char *mode, Resume *out);

/* Parameters and optimizer slots from the file found. Collective. */
MUST_CHECK Status resume_load(Engine *engine, Optimizer *optimizer, const Resume *resume);

#endif
