/* SPDX-License-Identifier: MIT
 *
 * apart.h: work done in a child process, private to io/. libhdf5 trusts what it reads: on a damaged file
 * it may write over its own memory or loop for ever (a byte flipped at random in a small file with text
 * does it about once in a hundred). Then only the child ends, and the file is named. */
#ifndef LOCKSTEP_IO_APART_H
#define LOCKSTEP_IO_APART_H

#include <stddef.h>

#include "comm/status.h"

/* In the child: leaves its result in `result`, a file in memory. It must not touch stdio. */
typedef Status (*ApartWork)(void *context, int result);

/* Runs work in a child and returns its Status with its message; ERR_DATA names the file of the last
 * apart_progress if the child does not get to its end. On OK *result is the file, the caller's: close().
 * Local. */
MUST_CHECK Status apart_run(ApartWork work, void *context, int *result);

/* Tells in the child that the work goes on, with this file (NULL: the same), and that `bytes` come next.
 * For them it may use three seconds of processor time and one for each 8 MiB, which is generous;
 * waiting for the disk does not count. */
void apart_progress(const char *path, size_t bytes);

#endif
