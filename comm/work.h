/* SPDX-License-Identifier: MIT
 *
 * work.h: jobs that the ranks of a node do together without meeting for it. A job consists of parts; whoever
 * comes takes the next part that nobody has, and goes on when all are done. A job can be done again: its
 * rounds are numbered from 1 and each begins after all ranks have seen the end of the one before. */
#ifndef LOCKSTEP_COMM_WORK_H
#define LOCKSTEP_COMM_WORK_H

#include "comm/comm.h"

typedef struct Work Work;

/* ERR_USAGE if memory is short. The caller's: work_destroy. Collective. */
MUST_CHECK Status work_create(Comm *comm, size_t jobs, Work **out);
void work_destroy(Work **work);

/* A part of `job` in this round that nobody has taken yet: false if there is none. `parts` is the same for
 * every rank and round. Local. */
bool work_take(Work *work, size_t job, uint64_t round, size_t parts, size_t *part);

/* One part that I took is done. Local. */
void work_done(Work *work, size_t job);

/* Waits until all parts of this round are done, with what their ranks wrote visible. Local. */
void work_await(Work *work, size_t job, uint64_t round, size_t parts);

#endif
