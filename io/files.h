/* SPDX-License-Identifier: MIT
 *
 * files.h: files that are there whole or not at all, private to io/. A file is written under a temporary
 * name in its own directory, synced, closed, renamed, and the directory synced; readers see the old file
 * or the new one. The temporary name tells who writes: .<name>.tmp.<host>.<pid>. */
#ifndef LOCKSTEP_IO_FILES_H
#define LOCKSTEP_IO_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

typedef struct AtomicFile {
    char *path, *temporary; /* owned until the file is published or abandoned */
    int fd;
    uint64_t bytes; /* written through atomic_write */
} AtomicFile;

/* Makes the temporary file. ERR_WRITE. Whatever fails from here on removes it again. */
MUST_CHECK Status atomic_create(const char *path, AtomicFile *out);
MUST_CHECK Status atomic_write(AtomicFile *file, const void *data, size_t bytes);
/* Sync, close, rename, sync the directory. A failed sync is never tried again: the kernel may have dropped
 * the pages, and a second one would say that all is well. */
MUST_CHECK Status atomic_publish(AtomicFile *file);
void atomic_abandon(AtomicFile *file);

/* ERR_WRITE: "cannot write PATH (N bytes): <reason>; <remedy>". `doing` names the call that failed. */
Status write_failed(int error, const char *path, uint64_t bytes, const char *doing);

/* All of the bytes or an errno; EINTR and short counts are not failures. read_at: -1 if the file ends
 * before. */
int write_all(int fd, const void *data, size_t bytes);
int write_at(int fd, const void *data, size_t bytes, uint64_t offset);
int read_at(int fd, void *data, size_t bytes, uint64_t offset);

/* "<directory of path>", "." where there is none. The caller's. NULL when memory is short. */
char *directory_of(const char *path);
/* 0 or an errno. File systems that cannot sync a directory are fine. */
int directory_sync(const char *directory);

/* The temporary name for `path`. The caller's. NULL when memory is short. */
char *temporary_name(const char *path);
/* Whether `name` (no directory) is such a name; then the length of the name it stands for, at name + 1,
 * and whether its writer is gone: dead on this host, or a day without a change if on another. */
bool temporary_parse(const char *directory, const char *name, size_t *length, bool *abandoned);

#endif
