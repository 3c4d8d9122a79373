/* SPDX-License-Identifier: MIT
 *
 * probe.h: what this machine's threads reach at the moment, for the roofline of `lockstep bench`. After ops_start. */
#ifndef LOCKSTEP_LAYERS_OPS_PROBE_H
#define LOCKSTEP_LAYERS_OPS_PROBE_H

#include <stddef.h>

/* Bytes per second of y = x + y by all threads, each over `bytes` of its own (two halves) that its cache holds; the
 * best of several rounds. 0 where memory is short. Local. */
double probe_cache(size_t bytes);

/* Seconds of a parallel region without work, the best of many rounds; 0 for one thread. Local. */
double probe_fork(void);

#endif
