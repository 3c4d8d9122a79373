/* SPDX-License-Identifier: MIT
 *
 * schedule.c: see schedule.h. */
#include "trainer/schedule.h"

#include <math.h>

double schedule_lr(const ScheduleConfig *s, double lr, uint64_t step, uint64_t total) {
    double k = (double)step, warmup = (double)s->warmup, last = (double)total;
    if (step <= s->warmup) return lr * k / warmup;
    double part = last > warmup ? (k - warmup) / (last - warmup) : 1;
    if (part > 1) part = 1;
    switch ((ScheduleKind)s->kind) {
    case SCHEDULE_LINEAR:
        return lr + (s->min_lr - lr) * part;
    case SCHEDULE_COSINE:
        return s->min_lr + 0.5 * (lr - s->min_lr) * (1 + cos(acos(-1.0) * part));
    case SCHEDULE_STEP: {
        double down = lr * pow(s->gamma, floor((k - 1) / (double)s->step_size));
        return down > s->min_lr ? down : s->min_lr;
    }
    case SCHEDULE_CONSTANT:
        break;
    }
    return lr;
}
