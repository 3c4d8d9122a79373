/* SPDX-License-Identifier: MIT
 *
 * random.h: counter-based random numbers (Philox4x32-10, Salmon et al. 2011, by Random123). A number
 * is a function of what it is for, so there is no generator state and no order of drawing. */
#ifndef LOCKSTEP_LAYERS_OPS_RANDOM_H
#define LOCKSTEP_LAYERS_OPS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Four 32-bit words for a 64-bit key and a 128-bit counter. Local. */
void random_words(uint64_t key, uint64_t counter_low, uint64_t counter_high, uint32_t out[4]);

/* A 64-bit hash of a name (XXH3-64), the same on every machine. Local. */
uint64_t random_name(const char *name);

/* Uniform in [0, 1) with 53 bits, and standard normal (Box-Muller), for stream `key` and index i. */
double random_uniform(uint64_t key, uint64_t index);
double random_normal(uint64_t key, uint64_t index);

/* Element i (< n) of a pseudo-random permutation of 0 ... n - 1 chosen by key; O(1) memory. */
uint64_t random_permutation(uint64_t key, uint64_t n, uint64_t i);

#endif
