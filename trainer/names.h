/* SPDX-License-Identifier: MIT
 *
 * names.h: the words for choices, where they are printed. */
#ifndef LOCKSTEP_TRAINER_NAMES_H
#define LOCKSTEP_TRAINER_NAMES_H

#include "trainer/config.h"

static inline const char *optimizer_name(int kind) {
    static const char *const name[] = {"adam", "adamw", "sgd"};
    return name[kind];
}

#endif
