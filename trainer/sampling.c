/* SPDX-License-Identifier: MIT
 *
 * sampling.c: see sampling.h. */
#include "trainer/sampling.h"

#include <math.h>
#include <stdlib.h>

#include "layers/ops/random.h"

Status sampling_check(const Sampling *s) {
    if (!(s->temperature >= 0))
        return status_fail(ERR_USAGE, "--temperature %g (command line): below 0", s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return status_fail(ERR_USAGE, "--top-p %g (command line): not in (0, 1]", s->top_p);
    return OK;
}

static int by_probability(const void *a, const void *b) {
    const Candidate *x = a, *y = b;
    if (x->p != y->p) return x->p < y->p ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

int32_t sampling_pick(const Sampling *s, const float *logit, size_t classes, uint64_t key, uint64_t index,
                      Candidate *candidate) {
    size_t best = 0;
    for (size_t c = 1; c < classes; c++)
        if (logit[c] > logit[best]) best = c;
    if (s->temperature == 0) return (int32_t)best;
    for (size_t c = 0; c < classes; c++)
        candidate[c] = (Candidate){(int32_t)c, exp(((double)logit[c] - (double)logit[best]) / s->temperature)};
    qsort(candidate, classes, sizeof *candidate, by_probability);
    size_t keep = s->top_k && s->top_k < classes ? s->top_k : classes;
    double sum = 0;
    for (size_t c = 0; c < keep; c++) sum += candidate[c].p;
    double limit = s->top_p * sum, mass = 0;
    for (size_t c = 0; c < keep; c++) {
        mass += candidate[c].p;
        if (mass >= limit) keep = c + 1;
    }
    double at = random_uniform(s->seed ^ key, index) * mass;
    for (size_t c = 0; c + 1 < keep; c++) {
        at -= candidate[c].p;
        if (at < 0) return candidate[c].id;
    }
    return candidate[keep - 1].id;
}
