/* SPDX-License-Identifier: MIT
 *
 * synthetic_parts.h: what the makers of tasks share: draws, and the tasks of text (synthetic_text.c). Private to
 * io/. */
#ifndef LOCKSTEP_IO_SYNTHETIC_PARTS_H
#define LOCKSTEP_IO_SYNTHETIC_PARTS_H

#include <xxhash.h>

#include "io/synthetic.h"

/* The draws of one sequence. */
typedef struct Dice {
    uint64_t seed, key[3]; /* task, sequence, draw */
} Dice;

static inline uint64_t dice_draw(Dice *dice) {
    uint64_t bits = XXH3_64bits_withSeed(dice->key, sizeof dice->key, dice->seed);
    dice->key[2]++;
    return bits;
}

/* In [0, limit); the bias of a limit below 2^20 is below 2^-44. */
static inline size_t dice_below(Dice *dice, size_t limit) {
    return (size_t)(dice_draw(dice) % limit);
}

/* ---- text ------------------------------------------------------------------------------------------ */

#define LETTERS "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"
#define DATE_CHARACTERS " ,-./0123456789ADFJMNOSTWabcdefghilmnoprstuvy"
#define DATE_TARGET_CHARACTERS "-0123456789"
#define NUMBER_CHARACTERS " -adefghilnorstuvwxyz"

#define TEXT_TASK(task_name, in, out)                                                                                  \
    {                                                                                                                  \
        .name = (task_name), .ids = true, .per_step = true, .target = TARGET_CLASSES, .steps = SYNTHETIC_STEPS,        \
        .vocabulary = sizeof(in) - 1, .classes = sizeof(out) - 1, .alphabet = (in), .target_alphabet = (out)           \
    }

void synthetic_date(Dice *dice, SyntheticSequence *out);
void synthetic_reverse(Dice *dice, SyntheticSequence *out);
void synthetic_number(Dice *dice, SyntheticSequence *out);

#endif
