/* SPDX-License-Identifier: MIT
 *
 * data_windows.h: long columns of tokens as sequences: windows of seq_len tokens that do not overlap; the target
 * of a token is the next one, so the targets are the same column one cell on. */
#ifndef LOCKSTEP_IO_DATA_WINDOWS_H
#define LOCKSTEP_IO_DATA_WINDOWS_H

#include "io/data_parts.h"

/* A store's tokens, which stand in its input column. */
typedef struct Stream {
    const char *name; /* for messages */
    size_t tokens;
} Stream;

/* Cuts the stores of *data, and says what they hold: ids below `vocabulary`. ERR_DATA names lengths that are
 * too short. */
MUST_CHECK Status windows_cut(const DataConfig *config, const Stream stream[DATA_STORES], size_t vocabulary,
                              Data *data);

#endif
