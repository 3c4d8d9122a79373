/* SPDX-License-Identifier: MIT
 *
 * scalar.h: logarithm and cosine of a double from the four operations and the square root alone, so
 * that losses and initial weights have the same bits with every C library and processor. Within a few
 * units in the last place. */
#ifndef LOCKSTEP_LAYERS_OPS_SCALAR_H
#define LOCKSTEP_LAYERS_OPS_SCALAR_H

#include <math.h>
#include <stdbool.h>

/* ln x = e ln 2 + 2 artanh f, x = 2^e m, f = (m - 1) / (m + 1), m in [sqrt 1/2, sqrt 2). */
static inline double scalar_log(double x) {
    if (!(x > 0)) return x == 0 ? -INFINITY : NAN;
    if (isinf(x)) return x;
    int e;
    double m = frexp(x, &e);
    if (m < 0x1.6a09e667f3bcdp-1) {
        m *= 2;
        e--;
    }
    const double f = (m - 1) / (m + 1), z = f * f;
    double sum = 0;
    for (int i = 23; i >= 3; i -= 2) sum = (sum + 1.0 / i) * z;
    return e * 0x1.62e42fefap-1 + (e * 0x1.cf79abc9e3b39p-40 + (2 * f + 2 * f * sum));
}

/* cos(2 pi turns) for 0 <= turns < 1: by symmetry an angle of at most a quarter turn, and beyond an
 * eighth the sine of the rest; both are series in z = angle^2. */
static inline double scalar_cos_turns(double turns) {
    const double circle = 0x1.921fb54442d18p+2;
    double sign = 1, sum = 0;
    if (turns > 0.5) turns = 1 - turns;
    if (turns > 0.25) {
        turns = 0.5 - turns;
        sign = -1;
    }
    const bool sine = turns > 0.125;
    const double x = circle * (sine ? 0.25 - turns : turns), z = x * x;
    for (int i = sine ? 19 : 18; i >= 2; i -= 2) sum = -(sum + 1) * z / (i * (i - 1));
    return sign * (sine ? x + x * sum : 1 + sum);
}

#endif
