/* SPDX-License-Identifier: MIT
 *
 * checkpoint_dir.c: the directory of a run's checkpoints. Names alone decide here, never times or
 * contents; nothing is removed whose name is not one that we give. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/checkpoint.h"
#include "io/files.h"

static const char *const LINKS[] = {"best.h5", "last.h5"};
enum { LINK_COUNT = 2, STEP_NAME = 32, MOST_DIGITS = 19 };

/* ---- names ------------------------------------------------------------------------------------------ */

static void print_name(uint64_t step, char out[STEP_NAME]) {
    snprintf(out, STEP_NAME, "step-%09" PRIu64 ".h5", step);
}

/* The step of exactly the name that print_name gives it. */
static bool parse_name(const char *name, size_t length, uint64_t *step) {
    char digits[MOST_DIGITS + 1], again[STEP_NAME];
    if (length < 17 || length > 8 + MOST_DIGITS || strncmp(name, "step-", 5) != 0) return false;
    memcpy(digits, name + 5, length - 8);
    digits[length - 8] = '\0';
    if (strspn(digits, "0123456789") != length - 8) return false;
    *step = strtoull(digits, NULL, 10);
    print_name(*step, again);
    return strlen(again) == length && strncmp(again, name, length) == 0;
}

static char *join(const char *directory, const char *name) {
    size_t bytes = strlen(directory) + strlen(name) + 2;
    char *path = malloc(bytes);
    if (path != NULL) snprintf(path, bytes, "%s/%s", directory, name);
    return path;
}

static Status no_memory(void) {
    return status_fail(ERR_INTERNAL, "no memory for the name of a checkpoint");
}

static Status directory_name(const char *run_dir, char **out) {
    *out = join(run_dir, "checkpoints");
    return *out == NULL ? no_memory() : OK;
}

Status checkpoint_path(const char *run_dir, uint64_t step, char **out) {
    char name[STEP_NAME], *directory;
    *out = NULL;
    TRY(directory_name(run_dir, &directory));
    print_name(step, name);
    *out = join(directory, name);
    free(directory);
    return *out == NULL ? no_memory() : OK;
}

/* ---- listing -------------------------------------------------------------------------------------------- */

static int newest_first(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static Status append(uint64_t **steps, size_t *count, size_t *room, uint64_t step) {
    if (*count == *room) {
        size_t more = *room == 0 ? 64 : 2 * *room;
        uint64_t *grown = realloc(*steps, more * sizeof *grown);
        if (grown == NULL) return no_memory();
        *steps = grown;
        *room = more;
    }
    (*steps)[(*count)++] = step;
    return OK;
}

static Status list_steps(DIR *stream, const char *directory, uint64_t **steps, size_t *count) {
    size_t room = 0;
    errno = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL; errno = 0) {
        uint64_t step;
        if (parse_name(entry->d_name, strlen(entry->d_name), &step)) TRY(append(steps, count, &room, step));
    }
    if (errno != 0) return status_fail(ERR_CHECKPOINT, "cannot list checkpoints (%s): %s", directory, strerror(errno));
    return OK;
}

Status checkpoint_list(const char *run_dir, uint64_t **steps, size_t *count) {
    char *directory;
    *steps = NULL;
    *count = 0;
    TRY(directory_name(run_dir, &directory));
    Status status = OK;
    DIR *stream = opendir(directory);
    if (stream != NULL) {
        status = list_steps(stream, directory, steps, count);
        closedir(stream);
    } else if (errno != ENOENT) {
        status = status_fail(ERR_CHECKPOINT, "cannot list checkpoints (%s): %s", directory, strerror(errno));
    }
    free(directory);
    if (status != OK) {
        free(*steps);
        *steps = NULL;
        *count = 0;
    }
    if (*count > 1) qsort(*steps, *count, sizeof **steps, newest_first);
    return status;
}

/* ---- links ------------------------------------------------------------------------------------------------- */

static Status link_at(const char *directory, const char *path, const char *target) {
    char *temporary = temporary_name(path);
    if (temporary == NULL) return no_memory();
    const char *doing = "symlink";
    unlink(temporary); /* only this process gives it this name */
    int error = symlink(target, temporary) == 0 ? 0 : errno;
    if (error == 0 && rename(temporary, path) != 0) {
        error = errno;
        doing = "rename";
        unlink(temporary);
    }
    if (error == 0 && (error = directory_sync(directory)) != 0) doing = "syncing its directory";
    free(temporary);
    return error == 0 ? OK : write_failed(error, path, strlen(target), doing);
}

Status checkpoint_link(const char *run_dir, const char *link_name, uint64_t step) {
    char name[STEP_NAME], *directory;
    TRY(directory_name(run_dir, &directory));
    print_name(step, name);
    char *path = join(directory, link_name);
    Status status = path == NULL ? no_memory() : link_at(directory, path, name);
    free(path);
    free(directory);
    return status;
}

/* ---- pruning -------------------------------------------------------------------------------------------------- */

/* The step that a link of ours points at. */
static bool link_target(const char *directory, const char *name, uint64_t *step) {
    char target[STEP_NAME];
    char *path = join(directory, name);
    ssize_t n = path == NULL ? -1 : readlink(path, target, sizeof target);
    free(path);
    return n > 0 && (size_t)n < sizeof target && parse_name(target, (size_t)n, step);
}

static Status remove_name(const char *directory, const char *name) {
    char *path = join(directory, name);
    if (path == NULL) return no_memory();
    Status status = OK;
    if (unlink(path) != 0 && errno != ENOENT)
        status = status_fail(ERR_WRITE, "cannot remove %s: %s", path, strerror(errno));
    free(path);
    return status;
}

static bool writes_such(const char *name, size_t length) {
    static const char *const fixed[] = {"best.h5", "last.h5", "config.yaml", "metrics.csv"};
    uint64_t step;
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (length == strlen(fixed[i]) && strncmp(name, fixed[i], length) == 0) return true;
    return parse_name(name, length, &step);
}

/* Temporary files of ours whose writer is gone. */
static Status remove_abandoned(const char *directory) {
    Status status = OK;
    DIR *stream = opendir(directory);
    if (stream == NULL)
        return errno == ENOENT ? OK : status_fail(ERR_WRITE, "cannot list %s: %s", directory, strerror(errno));
    for (struct dirent *entry; status == OK && (entry = readdir(stream)) != NULL;) {
        size_t length;
        bool abandoned;
        if (temporary_parse(directory, entry->d_name, &length, &abandoned) && abandoned &&
            writes_such(entry->d_name + 1, length))
            status = remove_name(directory, entry->d_name);
    }
    closedir(stream);
    return status;
}

static Status remove_old(const char *directory, const uint64_t *steps, size_t count, size_t keep) {
    uint64_t linked[LINK_COUNT];
    bool there[LINK_COUNT];
    for (size_t l = 0; l < LINK_COUNT; l++) there[l] = link_target(directory, LINKS[l], &linked[l]);
    for (size_t i = count; i-- > keep;) {
        bool wanted = false;
        for (size_t l = 0; l < LINK_COUNT; l++) wanted = wanted || (there[l] && linked[l] == steps[i]);
        char name[STEP_NAME];
        print_name(steps[i], name);
        if (!wanted) TRY(remove_name(directory, name));
    }
    return OK;
}

Status checkpoint_prune(const char *run_dir, size_t keep) {
    char *directory;
    uint64_t *steps;
    size_t count;
    TRY(checkpoint_list(run_dir, &steps, &count));
    Status status = directory_name(run_dir, &directory);
    if (status == OK) status = remove_old(directory, steps, count, keep);
    if (status == OK) status = remove_abandoned(directory);
    if (status == OK) status = remove_abandoned(run_dir);
    free(directory);
    free(steps);
    return status;
}
