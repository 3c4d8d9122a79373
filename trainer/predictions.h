/* SPDX-License-Identifier: MIT
 *
 * predictions.h: what the model says to the first training sequences, beside what it should say. */
#ifndef LOCKSTEP_TRAINER_PREDICTIONS_H
#define LOCKSTEP_TRAINER_PREDICTIONS_H

#include "trainer/engine.h"

/* Prints `count` lines; nothing for data without classes. Local: rank 0 calls it alone. */
void predictions_print(Engine *engine, const Data *data, size_t count);

#endif
