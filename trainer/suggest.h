/* SPDX-License-Identifier: MIT
 *
 * suggest.h: "did you mean ...?". The candidate nearest to a mistyped word, at most two edits away: an
 * edit inserts, drops or changes a letter or swaps two neighbours; upper and lower case are the same. */
#ifndef LOCKSTEP_TRAINER_SUGGEST_H
#define LOCKSTEP_TRAINER_SUGGEST_H

#include <stddef.h>

typedef struct Suggestion {
    const char *word;
    const char *best; /* NULL: nothing is near */
    size_t distance;  /* of best; 3 without one */
} Suggestion;

Suggestion suggestion_for(const char *word);

/* Takes `candidate` if it is nearer than all before it; it must live as long as the suggestion. */
void suggestion_offer(Suggestion *suggestion, const char *candidate);

/* Edits between two words; 3 or more if they are far apart. */
size_t edit_distance(const char *a, const char *b);

#endif
