/* SPDX-License-Identifier: MIT
 *
 * beam.h: beam search for one sequence, given log probabilities of the next symbol.
 *
 * At every step each of the beginnings that go on is continued by every symbol and by the end; the K most
 * probable of these continuations stay, ties in favour of the earlier beginning, then of the lower symbol.
 * Those that end, and at the last step those that are cut, are results with the score
 *
 *   score = log p / n^F        n symbols, the end counted; F = length_penalty, 0: none
 *
 * and the others go on. The search is through when nothing goes on, or nothing that does can still win: log p
 * only falls, so that log p / n^F is bounded. K = 1 is the greedy choice; K >= (symbols + 1)^most looks at
 * all sequences. */
#ifndef LOCKSTEP_TRAINER_BEAM_H
#define LOCKSTEP_TRAINER_BEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

typedef struct BeamConfig {
    size_t beams;   /* K */
    size_t symbols; /* V; the number V is the end */
    double length_penalty;
} BeamConfig;

typedef struct BeamResult {
    const int32_t *symbol; /* [count], the beam's; without the end */
    size_t count;
    double log_probability; /* the end's included where it ended */
    double score;
    bool ended; /* else cut at the last step */
} BeamResult;

typedef struct Beam Beam;

/* For sequences of at most `room` symbols, the end counted. The caller's: beam_destroy. Local. */
MUST_CHECK Status beam_create(const BeamConfig *config, size_t room, Beam **out);
void beam_destroy(Beam **beam);

/* A new search, whose sequences are cut at `most` symbols, 1 to the room: one beginning, which is empty. */
void beam_start(Beam *beam, size_t most);

/* The beginnings that go on, of beam_length symbols each; 0 when the search is through. */
size_t beam_live(const Beam *beam);
size_t beam_length(const Beam *beam);
const int32_t *beam_beginning(const Beam *beam, size_t i);
/* Which of the beginnings before the last step number i goes on from. */
size_t beam_parent(const Beam *beam, size_t i);

/* log_p [live, symbols + 1]: of what follows each beginning; -INFINITY: impossible. */
void beam_step(Beam *beam, const double *log_p);

/* The best result so far; all that there is when the search is through. */
BeamResult beam_result(const Beam *beam);

#endif
