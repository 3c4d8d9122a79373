/* SPDX-License-Identifier: MIT
 *
 * step.h: one training step on all ranks: data, forward and backward, the sum of gradients together with
 * a status word, one decision, the update, the new parameters for everybody. Training, --dry-run and
 * bench take the same steps. */
#ifndef LOCKSTEP_TRAINER_STEP_H
#define LOCKSTEP_TRAINER_STEP_H

#include "trainer/engine.h"
#include "trainer/groups.h"
#include "trainer/loader.h"
#include "trainer/optimizer.h"

/* What a rank asks for in the status word; the step's result holds what any rank asked for. */
enum { ASK_STOP = 1, ASK_TIME = 2, ASK_FAIL = 4, ASK_CHECK = 8 };

typedef enum Phase { PHASE_DATA, PHASE_COMPUTE, PHASE_REDUCE, PHASE_OPTIMIZER, PHASE_PUBLISH, PHASES } Phase;

typedef struct Stepper Stepper;

typedef struct StepResult {
    double loss;     /* what was minimised: mean or sum over the global batch's targets */
    double accuracy; /* NAN where not defined */
    double lr, grad_norm;
    double targets; /* of the global batch */
    StepRows rows;  /* the same */
    unsigned asked; /* ASK_... of any rank */
    bool skipped;   /* no targets, or non-finite under on_nonfinite: skip; parameters unchanged */
} StepResult;

/* `total` steps is what the schedule is laid out for. The caller's: stepper_destroy. Local. */
MUST_CHECK Status stepper_create(Engine *engine, Optimizer *optimizer, Loader *loader, uint64_t total, Stepper **out);
void stepper_destroy(Stepper **stepper);

/* Takes step number `step` (from 1). ERR_REPLICAS on all ranks alike when one has found at the step before that
 * memory changed, or now and then that nodes differ. ERR_DIVERGED on all ranks alike when loss or gradient are not finite
 * and on_nonfinite is stop; then the parameters are those before the step. Collective. */
MUST_CHECK Status stepper_take(Stepper *stepper, uint64_t step, unsigned ask, StepResult *result);

/* Seconds this rank spent in a phase since the last call. Local. */
void stepper_times(Stepper *stepper, double seconds[PHASES]);

/* From now on layers are traced too (comm/trace.h). Local. */
void stepper_trace(Stepper *stepper);

/* Monotonic seconds. Local. */
double clock_seconds(void);

#endif
