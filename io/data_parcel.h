/* SPDX-License-Identifier: MIT
 *
 * data_parcel.h: a Data that was read in another process (apart.h), sent through a file in memory. The
 * receiver maps the columns where they are. */
#ifndef LOCKSTEP_IO_DATA_PARCEL_H
#define LOCKSTEP_IO_DATA_PARCEL_H

#include "io/data_parts.h"

/* Writes info, stores and vocabulary, and frees the columns as it goes. */
MUST_CHECK Status parcel_send(Data *data, int file);
/* Fills an empty Data; what is already in it on failure is data_close's. `path` is for messages. */
MUST_CHECK Status parcel_receive(int file, const char *path, Data *data);

#endif
