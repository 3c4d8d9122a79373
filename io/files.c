/* SPDX-License-Identifier: MIT
 *
 * files.c: files that are there whole or not at all, and directories. */
#include "io/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "io/metrics.h"

static const char INFIX[] = ".tmp.";
enum { ABANDONED_SECONDS = 24 * 60 * 60 };

static const char *remedy(int error) {
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return "; free some space or choose another run.dir";
    case EFBIG:
        return "; raise the limit on file sizes (ulimit -f)";
    case EACCES:
    case EPERM:
        return "; make the directory writable or choose another run.dir";
    case EROFS:
        return "; the file system is mounted read-only, choose another run.dir";
    case ENOENT:
        return "; the directory is gone";
    default:
        return "";
    }
}

Status write_failed(int error, const char *path, uint64_t bytes, const char *doing) {
    return status_fail(ERR_WRITE, "cannot write %s (%" PRIu64 " bytes): %s: %s%s", path, bytes, doing, strerror(error),
                       remedy(error));
}

int write_all(int fd, const void *data, size_t bytes) {
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = write(fd, at, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return ENOSPC;
        at += n;
        bytes -= (size_t)n;
    }
    return 0;
}

int write_at(int fd, const void *data, size_t bytes, uint64_t offset) {
    const char *at = data;
    while (bytes > 0) {
        ssize_t n = pwrite(fd, at, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return ENOSPC;
        at += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

int read_at(int fd, void *data, size_t bytes, uint64_t offset) {
    char *at = data;
    while (bytes > 0) {
        ssize_t n = pread(fd, at, bytes, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return -1;
        at += n;
        offset += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return 0;
}

/* ---- names --------------------------------------------------------------------------------------- */

char *directory_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return strdup(".");
    return strndup(path, slash == path ? 1 : (size_t)(slash - path));
}

static void host_name(char out[65]) {
    if (gethostname(out, 65) != 0) strcpy(out, "unknown");
    out[64] = '\0';
    for (char *c = out; *c != '\0'; c++) {
        bool plain =
            (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '.';
        if (!plain) *c = '_';
    }
}

char *temporary_name(const char *path) {
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    char host[65];
    host_name(host);
    size_t bytes = strlen(path) + sizeof INFIX + sizeof host + 32;
    char *name = malloc(bytes);
    if (name != NULL)
        snprintf(name, bytes, "%.*s.%s%s%s.%ld", (int)(base - path), path, base, INFIX, host, (long)getpid());
    return name;
}

/* A dead process that its parent has not asked for yet still has its id, and an init that never asks leaves it that. */
static bool process_gone(long pid) {
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH) return true;
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    const char *after_name = strrchr(text, ')');
    return after_name && after_name[1] == ' ' && (after_name[2] == 'Z' || after_name[2] == 'X');
}

bool temporary_parse(const char *directory, const char *name, size_t *length, bool *abandoned) {
    if (name[0] != '.') return false;
    const char *infix = strstr(name + 1, INFIX);
    if (infix == NULL) return false;
    const char *host = infix + sizeof INFIX - 1;
    const char *dot = strrchr(host, '.');
    if (dot == NULL || dot == host || dot[1] < '1' || dot[1] > '9') return false;
    char *end;
    errno = 0;
    long pid = strtol(dot + 1, &end, 10);
    if (*end != '\0' || errno != 0 || pid > INT_MAX) return false;
    *length = (size_t)(infix - (name + 1));

    char mine[65];
    host_name(mine);
    if (strlen(mine) == (size_t)(dot - host) && strncmp(mine, host, strlen(mine)) == 0) {
        *abandoned = process_gone(pid);
        return true;
    }
    *abandoned = false;
    char path[PATH_MAX];
    struct stat info;
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) < sizeof path && lstat(path, &info) == 0)
        *abandoned = difftime(time(NULL), info.st_mtime) > ABANDONED_SECONDS;
    return true;
}

/* ---- whole files ----------------------------------------------------------------------------------- */

static void forget(AtomicFile *file) {
    free(file->path);
    free(file->temporary);
    *file = (AtomicFile){.fd = -1};
}

void atomic_abandon(AtomicFile *file) {
    if (file->fd >= 0) close(file->fd);
    if (file->temporary != NULL) unlink(file->temporary);
    forget(file);
}

/* Fails with the errno `error` after removing the temporary file. */
static Status abandon(AtomicFile *file, int error, const char *doing) {
    Status status = write_failed(error, file->path, file->bytes, doing);
    atomic_abandon(file);
    return status;
}

Status atomic_create(const char *path, AtomicFile *out) {
    *out = (AtomicFile){.path = strdup(path), .temporary = temporary_name(path), .fd = -1};
    if (out->path == NULL || out->temporary == NULL) {
        forget(out);
        return write_failed(ENOMEM, path, 0, "allocating its name");
    }
    const int flags = O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW;
    out->fd = open(out->temporary, flags, 0666);
    if (out->fd < 0 && errno == EEXIST) {
        /* Only a process with this number wrote it, and that is this one: it is left from a dead one. */
        unlink(out->temporary);
        out->fd = open(out->temporary, flags, 0666);
    }
    if (out->fd < 0) {
        Status status = write_failed(errno, path, 0, "creating a temporary file beside it");
        forget(out);
        return status;
    }
    return OK;
}

Status atomic_write(AtomicFile *file, const void *data, size_t bytes) {
    file->bytes += bytes;
    int error = write_all(file->fd, data, bytes);
    return error == 0 ? OK : abandon(file, error, "write");
}

int directory_sync(const char *directory) {
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int error = fsync(fd) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
    close(fd);
    return error;
}

Status atomic_publish(AtomicFile *file) {
    if (fsync(file->fd) != 0) return abandon(file, errno, "fsync");
    int closed = close(file->fd);
    file->fd = -1;
    if (closed != 0 && errno != EINTR) return abandon(file, errno, "close");
    if (rename(file->temporary, file->path) != 0) return abandon(file, errno, "rename");
    free(file->temporary);
    file->temporary = NULL;
    char *directory = directory_of(file->path);
    int error = directory == NULL ? ENOMEM : directory_sync(directory);
    free(directory);
    if (error != 0) return abandon(file, error, "syncing its directory after the rename");
    forget(file);
    return OK;
}

Status file_write(const char *path, const char *text) {
    AtomicFile file;
    TRY(atomic_create(path, &file));
    TRY(atomic_write(&file, text, strlen(text)));
    return atomic_publish(&file);
}

/* ---- directories ------------------------------------------------------------------------------------- */

static Status make_one(const char *path, const char *whole) {
    if (mkdir(path, 0777) == 0) {
        char *parent = directory_of(path);
        int error = parent == NULL ? ENOMEM : directory_sync(parent);
        free(parent);
        /* A parent that may be entered but not listed cannot be opened to be synced. */
        if (error == 0 || error == EACCES) return OK;
        return status_fail(ERR_WRITE, "cannot sync the parent of directory %s: %s", path, strerror(error));
    }
    int error = errno;
    struct stat info;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode)) return OK;
        error = ENOTDIR;
    }
    return status_fail(ERR_WRITE, "cannot make directory %s (at %s): %s%s", whole, path, strerror(error),
                       remedy(error));
}

Status directory_make(const char *path) {
    char *partial = strdup(path);
    if (partial == NULL) return status_fail(ERR_WRITE, "cannot make directory %s: memory is short", path);
    Status status = OK;
    for (char *c = partial + 1; partial[0] != '\0' && *c != '\0' && status == OK; c++) {
        if (*c != '/' || c[-1] == '/') continue;
        *c = '\0';
        status = make_one(partial, path);
        *c = '/';
    }
    if (status == OK) status = make_one(path, path);
    free(partial);
    return status;
}
