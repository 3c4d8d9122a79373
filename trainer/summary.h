/* SPDX-License-Identifier: MIT
 *
 * summary.h: what a run is about to do: ranks and threads, data, the model layer by layer, memory. */
#ifndef LOCKSTEP_TRAINER_SUMMARY_H
#define LOCKSTEP_TRAINER_SUMMARY_H

#include "trainer/engine.h"

/* Lines on stderr by rank 0. Local. */
void summary_ranks(const Engine *engine);
void summary_data(const Config *config, const Data *data);
void summary_model(const Engine *engine, size_t optimizer_slots);
/* "12.3 MiB". Writes into out, returns it. */
char *bytes_text(size_t bytes, char *out, size_t room);

#endif
