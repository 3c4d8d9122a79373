/* SPDX-License-Identifier: MIT
 *
 * synthetic.h: data made for tasks that a model can learn completely and whose answers are known:
 * sequence i is a function of task, seed and i alone. Tasks of text are for a decoder: input and target have
 * lengths and alphabets of their own, and io/data_synthetic.c takes no input twice. */
#ifndef LOCKSTEP_IO_SYNTHETIC_H
#define LOCKSTEP_IO_SYNTHETIC_H

#include "io/data.h"

enum { SYNTHETIC_TASKS = 10, SYNTHETIC_STEPS = 80, SYNTHETIC_CONTEXT = 9 };

typedef struct SyntheticTask {
    const char *name;
    bool ids, per_step;
    TargetKind target;
    size_t steps, least_steps; /* longest and shortest sequence */
    size_t vocabulary, features, classes;
    const char *alphabet, *target_alphabet; /* of text, ASCII, ascending: character i is id i; NULL: no text */
    size_t context;                         /* numbers of a whole sequence */
} SyntheticTask;

/* In the order of data.task's choices. */
extern const SyntheticTask synthetic_tasks[SYNTHETIC_TASKS];

/* -1 for a name that is no task. */
int synthetic_task(const char *name);

typedef struct SyntheticSequence {
    size_t length, targets; /* targets: of text alone, else the length or 1 */
    int64_t ids[SYNTHETIC_STEPS], classes[SYNTHETIC_STEPS];
    float x[2 * SYNTHETIC_STEPS], value, context[SYNTHETIC_CONTEXT];
} SyntheticSequence;

void synthetic_make(int task, uint64_t seed, uint64_t sequence, SyntheticSequence *out);

#endif
