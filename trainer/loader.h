/* SPDX-License-Identifier: MIT
 *
 * loader.h: which sequences a step sees, as a function of seed, epoch and step alone, and this rank's
 * share of them as a batch. There is no state to save: a resumed run asks for the same batch. */
#ifndef LOCKSTEP_TRAINER_LOADER_H
#define LOCKSTEP_TRAINER_LOADER_H

#include "trainer/engine.h"

typedef struct Loader Loader;

typedef struct LoaderConfig {
    size_t batch_size; /* sequences */
    bool shuffle;      /* every epoch anew */
    bool bucket;       /* batches of similar length (order.h) */
} LoaderConfig;

/* Batches of `split`, each cut into the engine's shards. The caller's: loader_destroy. Local. */
MUST_CHECK Status loader_create(const Engine *engine, const Data *data, Split split, LoaderConfig config, Loader **out);
/* As training (shuffled) and evaluation see it, by the config. */
LoaderConfig loader_config(const Config *config, bool training);
void loader_destroy(Loader **loader);

/* Batches an epoch has; the last may be short. */
size_t loader_batches(const Loader *loader);

/* The global shards [first, end), at most the engine's group, of batch `index` of `epoch`; valid until the
 * next call. */
const Batch *loader_load(Loader *loader, uint64_t epoch, size_t index, size_t first, size_t end);

#endif
