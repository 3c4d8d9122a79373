/* SPDX-License-Identifier: MIT
 *
 * restore.h: what a checkpoint says, brought to all ranks: the config it was made with (with overrides),
 * its vocabularies, its figures. Rank 0 reads and verifies the file. */
#ifndef LOCKSTEP_TRAINER_RESTORE_H
#define LOCKSTEP_TRAINER_RESTORE_H

#include "trainer/engine.h"
#include "trainer/session.h"

typedef struct Restored {
    const char *path;
    Config *config;
    Vocabulary *vocabulary, *target_vocabulary; /* NULL: none */
    Scaling *scaling;                           /* NULL: none */
    uint64_t step, shards, vocabulary_size, features, classes;
    CheckpointFile *file; /* rank 0 alone */
} Restored;

/* Collective. Release with restore_close in any case. */
MUST_CHECK Status restore_open(Comm *comm, const char *path, const char *const *override, size_t overrides,
                               Restored *out);
/* How data are read for the model. */
DataKnown restore_known(const Restored *restored);
void restore_close(Restored *restored);

#endif
