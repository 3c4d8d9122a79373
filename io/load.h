/* SPDX-License-Identifier: MIT
 *
 * load.h: input files as bytes in memory, and the files that a name or pattern stands for. */
#ifndef LOCKSTEP_IO_LOAD_H
#define LOCKSTEP_IO_LOAD_H

#include <stddef.h>

#include "comm/status.h"

typedef struct FileBytes {
    char *data;
    size_t bytes;
    size_t mapped; /* bytes to unmap, 0: malloc */
} FileBytes;

/* ERR_DATA unless `path` is a readable, regular file that is not empty. *bytes: NULL skips. Local. */
MUST_CHECK Status load_check(const char *path, size_t *bytes);

/* All of a file: read, or mapped where it is large, so that the ranks of a node share its pages. The
 * caller's: load_free. Local. */
MUST_CHECK Status load_file(const char *path, FileBytes *out);
void load_free(FileBytes *file);

typedef struct PathList {
    char **path;
    size_t count;
} PathList;

/* A name of an existing file stands for itself, any other with *, ? or [ for the files that match, in
 * order of their bytes. ERR_DATA names a pattern without a match. The caller's: paths_free. Local. */
MUST_CHECK Status paths_expand(const char *const *pattern, size_t patterns, PathList *out);
void paths_free(PathList *paths);

#endif
