/* SPDX-License-Identifier: MIT
 *
 * load.c: small files are copied, so that an editor which saves one during a run cannot change the
 * data under it; large ones are mapped. */
#include "io/load.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const size_t MAP_FROM = (size_t)256 << 20;

static Status open_checked(const char *path, int *fd, size_t *bytes) {
    struct stat stat;
    /* Not blocking: opening a pipe must fail below, not wait for its writer. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 || fstat(*fd, &stat) != 0) {
        int error = errno;
        if (*fd >= 0) close(*fd);
        return status_fail(ERR_DATA, "cannot open data (%s): %s; check the path", path, strerror(error));
    }
    const char *what = S_ISDIR(stat.st_mode)    ? "is a directory; name a file"
                       : !S_ISREG(stat.st_mode) ? "is not a regular file; save the data in one"
                       : stat.st_size == 0      ? "is empty; check the path"
                                                : NULL;
    if (what) {
        close(*fd);
        return status_fail(ERR_DATA, "cannot use data (%s): it %s", path, what);
    }
    *bytes = (size_t)stat.st_size;
    return OK;
}

Status load_check(const char *path, size_t *bytes) {
    int fd;
    size_t size;
    TRY(open_checked(path, &fd, &size));
    close(fd);
    if (bytes) *bytes = size;
    return OK;
}

static Status map_all(const char *path, int fd, FileBytes *out) {
    out->data = mmap(NULL, out->bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (out->data == MAP_FAILED) {
        out->data = NULL;
        return status_fail(ERR_DATA, "cannot map data (%s, %zu bytes): %s", path, out->bytes, strerror(errno));
    }
    out->mapped = out->bytes;
    return OK;
}

static Status read_all(const char *path, int fd, FileBytes *out) {
    out->data = malloc(out->bytes);
    if (!out->data) return status_fail(ERR_USAGE, "data (%s): no memory for %zu bytes", path, out->bytes);
    for (size_t done = 0; done < out->bytes;) {
        ssize_t count = read(fd, out->data + done, out->bytes - done);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0)
            return status_fail(ERR_DATA, "cannot read data (%s) at offset %zu: %s", path, done, strerror(errno));
        if (count == 0)
            return status_fail(ERR_DATA,
                               "cannot read data (%s): ends at byte %zu of %zu; does something still write it?", path,
                               done, out->bytes);
        done += (size_t)count;
    }
    return OK;
}

Status load_file(const char *path, FileBytes *out) {
    *out = (FileBytes){0};
    int fd;
    TRY(open_checked(path, &fd, &out->bytes));
    Status status = out->bytes >= MAP_FROM ? map_all(path, fd, out) : read_all(path, fd, out);
    close(fd);
    if (status != OK) load_free(out);
    return status;
}

void load_free(FileBytes *file) {
    if (file->mapped) munmap(file->data, file->mapped);
    else free(file->data);
    *file = (FileBytes){0};
}

/* ---- names and patterns ----------------------------------------------------------------------------- */

static Status add_path(PathList *list, const char *path) {
    char **grown = realloc(list->path, (list->count + 1) * sizeof *grown);
    if (grown) list->path = grown;
    char *copy = grown ? strdup(path) : NULL;
    if (!copy) return status_fail(ERR_USAGE, "data (%s): no memory", path);
    list->path[list->count++] = copy;
    return OK;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static Status add_matches(PathList *list, const char *pattern) {
    glob_t found;
    int code = glob(pattern, GLOB_NOSORT, NULL, &found);
    if (code == GLOB_NOMATCH)
        return status_fail(ERR_DATA, "cannot open data (%s): no file matches this pattern; check it", pattern);
    if (code != 0)
        return status_fail(ERR_DATA, "cannot open data (%s): %s", pattern,
                           code == GLOB_NOSPACE ? "no memory" : strerror(errno));
    qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, by_bytes);
    Status status = OK;
    for (size_t i = 0; i < found.gl_pathc && status == OK; i++) status = add_path(list, found.gl_pathv[i]);
    globfree(&found);
    return status;
}

Status paths_expand(const char *const *pattern, size_t patterns, PathList *out) {
    *out = (PathList){0};
    Status status = OK;
    for (size_t i = 0; i < patterns && status == OK; i++) {
        struct stat ignored;
        bool literal = !strpbrk(pattern[i], "*?[") || stat(pattern[i], &ignored) == 0;
        status = literal ? add_path(out, pattern[i]) : add_matches(out, pattern[i]);
    }
    if (status != OK) paths_free(out);
    return status;
}

void paths_free(PathList *paths) {
    for (size_t i = 0; i < paths->count; i++) free(paths->path[i]);
    free(paths->path);
    *paths = (PathList){0};
}
