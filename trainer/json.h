/* SPDX-License-Identifier: MIT
 *
 * json.h: JSON on stdout as the contract wants it: one object, numbers with 9 significant digits, null
 * where a figure is not defined. */
#ifndef LOCKSTEP_TRAINER_JSON_H
#define LOCKSTEP_TRAINER_JSON_H

#include <jansson.h>
#include <math.h>
#include <stdio.h>

/* A real, null if it is not finite. The caller's, as jansson's constructors. */
static inline json_t *json_number(double x) {
    return isfinite(x) ? json_real(x) : json_null();
}

/* Prints and releases. */
static inline void json_print(json_t *object) {
    json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(object);
}

#endif
