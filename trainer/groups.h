/* SPDX-License-Identifier: MIT
 *
 * groups.h: forward and backward of a rank's shards: all together, or in groups one after the other
 * (train.shards_at_once), which takes longer and less memory. Gradients of groups are added in the same
 * tree, so the bits are the same. */
#ifndef LOCKSTEP_TRAINER_GROUPS_H
#define LOCKSTEP_TRAINER_GROUPS_H

#include "trainer/engine.h"
#include "trainer/loader.h"

typedef struct Groups Groups;

/* The caller's: groups_destroy. Local. */
MUST_CHECK Status groups_create(Engine *engine, Loader *loader, Groups **out);
void groups_destroy(Groups **groups);

/* Time steps of a batch, of the inputs and of the targets that a decoder reads. */
typedef struct StepRows {
    double inputs, targets;
} StepRows;

/* One batch: gradients into the engine's segments, result [my shards]; returns this rank's rows. `ready`
 * is told of final gradients as model_train tells. Local, but collective for a
 * model that counts rows. */
StepRows groups_train(Groups *groups, uint64_t epoch, size_t index, uint64_t step, ModelReady ready, void *context,
                      ShardResult *result);

/* Seconds that the last groups_train spent on reading data. */
double groups_data_seconds(const Groups *groups);

#endif
