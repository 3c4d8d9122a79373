/* SPDX-License-Identifier: MIT
 *
 * tokens_write.h: text as a file that data.kind: tokens reads back as the same data. */
#ifndef LOCKSTEP_IO_TOKENS_WRITE_H
#define LOCKSTEP_IO_TOKENS_WRITE_H

#include "io/data.h"

/* Of data of kind text without a file of its own for validation: tokens [N] and /vocabulary. The file is there
 * whole or not at all. ERR_WRITE. *count: tokens. Local. */
MUST_CHECK Status tokens_write(const char *path, const Data *data, size_t *count);

#endif
