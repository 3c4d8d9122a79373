/* SPDX-License-Identifier: MIT
 *
 * evaluate.h: the loss and scores of a model over a split of the data, without update. */
#ifndef LOCKSTEP_TRAINER_EVALUATE_H
#define LOCKSTEP_TRAINER_EVALUATE_H

#include "trainer/engine.h"

typedef struct Scores {
    double loss;       /* mean over targets */
    double perplexity; /* exp(loss), NAN without classes */
    double accuracy;   /* NAN without classes */
    double rmse, mae;  /* NAN with classes */
    double sequences, targets;
} Scores;

/* Over all of `split` in file order; the same bits for any number of ranks. Collective. */
MUST_CHECK Status evaluate_split(Engine *engine, const Data *data, Split split, Scores *out);

#endif
