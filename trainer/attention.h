/* SPDX-License-Identifier: MIT
 *
 * attention.h: predict --attention: the weights of every layer of attention, written to one file by rank 0 as
 * the ranks' passes go over the data. */
#ifndef LOCKSTEP_TRAINER_ATTENTION_H
#define LOCKSTEP_TRAINER_ATTENTION_H

#include "io/attention_file.h"
#include "trainer/engine.h"

typedef struct AttentionWriter AttentionWriter;

/* ERR_USAGE where the model has no attention. `targets`: what its decoder wrote, of which rank 0 alone needs the
 * symbols; NULL without one. The caller's: attention_publish or attention_abandon. Collective. */
MUST_CHECK Status attention_create(Engine *engine, const Data *data, const Vocabulary *vocabulary,
                                   const AttentionTargets *targets, const char *path, AttentionWriter **out);

/* One more forward pass over this rank's share of a batch, which holds the sequences [first, first +
 * batch->rows.sequences) of the data. Collective. */
MUST_CHECK Status attention_batch(AttentionWriter *writer, const Batch *batch, size_t first);

MUST_CHECK Status attention_publish(AttentionWriter **writer);
void attention_abandon(AttentionWriter **writer);

#endif
