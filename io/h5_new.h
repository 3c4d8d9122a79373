/* SPDX-License-Identifier: MIT
 *
 * h5_new.h: HDF5 files that are written from nothing: under a temporary name, published when they are
 * whole. Private to io/. */
#ifndef LOCKSTEP_IO_H5_NEW_H
#define LOCKSTEP_IO_H5_NEW_H

#include "io/files.h"
#include "io/h5.h"

typedef struct NewH5 {
    AtomicFile atomic;
    const char *path;
    hid_t file;
} NewH5;

/* ERR_WRITE. On failure nothing is left; else the caller's: new_h5_publish or new_h5_abandon. These take
 * libhdf5's lock themselves. */
MUST_CHECK Status new_h5_create(const char *path, NewH5 *out);
MUST_CHECK Status new_h5_publish(NewH5 *file);
void new_h5_abandon(NewH5 *file);

/* With the lock held: ERR_WRITE for what libhdf5 refused. */
Status new_h5_fail(const NewH5 *file, const char *what);
/* A data set without data yet, < 0 on failure; groups on the way are made. */
hid_t new_h5_set(const NewH5 *file, const char *name, hid_t type, int rank, const hsize_t *dim);
/* A list of texts. */
MUST_CHECK Status new_h5_texts(const NewH5 *file, const char *name, char *const *text, size_t count);
/* Rows [first, first + count) of a set whose rows have `width` numbers. */
MUST_CHECK Status new_h5_rows(const NewH5 *file, hid_t set, hid_t type, const void *row, size_t first, size_t count,
                              size_t width);

#endif
