/* SPDX-License-Identifier: MIT
 *
 * draw.h: layers of random sizes and flags on ragged batches. A draw is a function of its kind, its number
 * and a seed; every fifth draw of a kind that has dropout uses it. */
#ifndef LOCKSTEP_TESTS_PROPERTY_DRAW_H
#define LOCKSTEP_TESTS_PROPERTY_DRAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DRAW_MOST_SIZE = 67, DRAW_MOST_STEPS = 40, DRAW_MOST_SEQUENCES = 9, DRAW_CLASSES = 6, DRAW_TEXT = 4096 };

typedef struct Draw {
    const char *kind;
    size_t number;
    uint64_t seed, stream, at;
    uint64_t numbers;            /* chooses weights and data; another one where a relu stood on its kink */
    bool drops;                  /* dropout acts */
    size_t features, vocabulary; /* of the data: reals, or ids */
    size_t context;              /* features of the data's context; 0: none */
    size_t targets;              /* ids of the target's stream; 0: there is none */
    size_t target_length[DRAW_MOST_SEQUENCES];
    size_t sequences, length[DRAW_MOST_SEQUENCES], shards;
    size_t used;
    char layers[DRAW_TEXT]; /* the model's list, JSON and YAML at once; the last layer is of the kind */
} Draw;

/* False for a kind without a rule. */
bool draw_make(Draw *draw, const char *kind, size_t number, uint64_t seed);

#endif
