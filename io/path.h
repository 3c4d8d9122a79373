/* SPDX-License-Identifier: MIT
 *
 * path.h: what a file's name says about its form. */
#ifndef LOCKSTEP_IO_PATH_H
#define LOCKSTEP_IO_PATH_H

#include <stdbool.h>
#include <string.h>

/* ".h5" alone is the name of a hidden file, without a form. */
static inline bool path_ends(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    return n > m && strcmp(path + n - m, end) == 0;
}

static inline bool path_is_hdf5(const char *path) {
    return path_ends(path, ".h5") || path_ends(path, ".hdf5");
}

#endif
