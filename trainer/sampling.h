/* SPDX-License-Identifier: MIT
 *
 * sampling.h: drawing a token by its logits. */
#ifndef LOCKSTEP_TRAINER_SAMPLING_H
#define LOCKSTEP_TRAINER_SAMPLING_H

#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

typedef struct Sampling {
    double temperature, top_p; /* 0: the first largest; 1: the model's distribution, all of it */
    size_t top_k, seed;        /* top_k 0: all */
} Sampling;

/* Room for the candidates of one draw. */
typedef struct Candidate {
    int32_t id;
    double p; /* unnormalised */
} Candidate;

/* ERR_USAGE names the option that is out of range. */
MUST_CHECK Status sampling_check(const Sampling *sampling);

/* One of [0, classes): draw number `index` of the stream `key`, which the seed joins. candidate [classes]. */
int32_t sampling_pick(const Sampling *sampling, const float *logit, size_t classes, uint64_t key, uint64_t index,
                      Candidate *candidate);

#endif
