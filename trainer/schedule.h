/* SPDX-License-Identifier: MIT
 *
 * schedule.h: the learning rate of a step. */
#ifndef LOCKSTEP_TRAINER_SCHEDULE_H
#define LOCKSTEP_TRAINER_SCHEDULE_H

#include "trainer/config.h"

/* Step counts from 1, `total` is the last step the schedule is laid out for. The first `warmup` steps
 * rise linearly to lr (step k: lr k / warmup); then constant, linear or half a cosine from lr to min_lr
 * at `total`, or lr gamma^floor((step - 1) / step_size). Local. */
double schedule_lr(const ScheduleConfig *schedule, double lr, uint64_t step, uint64_t total);

#endif
