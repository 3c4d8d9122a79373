/* SPDX-License-Identifier: MIT
 *
 * metrics.c: metrics.csv. Each row goes to the kernel in one write, so that a reader or a killed run sees
 * whole rows; what a crash of the machine left of a last row is cut off when the file is opened. */
#include "io/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/files.h"

static const char HEADER[] = "step,epoch,split,loss,accuracy,lr,grad_norm,tokens_per_s,seconds\n";
enum { HEADER_BYTES = sizeof HEADER - 1, ROW_BYTES = 512, COLUMNS = 9 };

struct Metrics {
    char *path;
    int fd;
};

/* ---- what is there already ------------------------------------------------------------------------- */

/* Reads the whole file; *text NULL where there is none. */
static Status read_whole(const char *path, char **text, size_t *bytes) {
    struct stat info;
    *text = NULL;
    *bytes = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) return OK;
    int error = fd < 0 || fstat(fd, &info) != 0 ? errno : 0;
    if (error == 0 && !S_ISREG(info.st_mode)) error = EINVAL;
    if (error == 0 && (*text = malloc((size_t)info.st_size + 1)) == NULL) error = ENOMEM;
    if (error == 0) error = read_at(fd, *text, (size_t)info.st_size, 0);
    if (fd >= 0) close(fd);
    if (error == 0) {
        *bytes = (size_t)info.st_size;
        return OK;
    }
    free(*text);
    *text = NULL;
    return status_fail(ERR_DATA, "cannot read metrics (%s): %s", path,
                       error < 0 ? "it was cut meanwhile" : strerror(error));
}

/* The step of a row of [line, end); false if it is not a row of ours. */
static bool parse_row(const char *line, const char *end, uint64_t *step) {
    size_t commas = 0;
    *step = 0;
    for (const char *c = line; c < end; c++) {
        if (*c == '\0') return false;
        commas += *c == ',';
    }
    if (commas != COLUMNS - 1 || *line < '0' || *line > '9') return false;
    for (const char *c = line; *c != ','; c++) {
        if (*c < '0' || *c > '9') return false;
        if (__builtin_mul_overflow(*step, 10, step) || __builtin_add_overflow(*step, (uint64_t)(*c - '0'), step))
            return false;
    }
    return true;
}

/* Moves the rows up to `step` together; *bytes is what is left. */
static Status cut_back(const char *path, uint64_t step, char *text, size_t *bytes) {
    if (*bytes < HEADER_BYTES || memcmp(text, HEADER, HEADER_BYTES) != 0)
        return status_fail(ERR_DATA, "metrics of another form (%s:1): the header is not %.*s; move the file away", path,
                           HEADER_BYTES - 1, HEADER);
    size_t kept = HEADER_BYTES, number = 2;
    const char *end = text + *bytes, *feed;
    for (const char *line = text + kept; (feed = memchr(line, '\n', (size_t)(end - line))) != NULL;
         line = feed + 1, number++) {
        uint64_t row;
        size_t length = (size_t)(feed + 1 - line);
        if (!parse_row(line, feed, &row))
            return status_fail(ERR_DATA,
                               "metrics of another form (%s:%zu): not a row of %d columns; move the file away", path,
                               number, COLUMNS);
        if (row > step) continue;
        memmove(text + kept, line, length);
        kept += length;
    }
    *bytes = kept;
    return OK;
}

/* Leaves the file with its header and the rows up to `step`. */
static Status prepare(const char *path, uint64_t step) {
    char *text;
    size_t before, bytes;
    TRY(read_whole(path, &text, &before));
    if (before == 0) {
        free(text);
        return file_write(path, HEADER);
    }
    bytes = before;
    Status status = cut_back(path, step, text, &bytes);
    if (status == OK && bytes != before) {
        text[bytes] = '\0';
        status = file_write(path, text);
    }
    free(text);
    return status;
}

/* ---- appending --------------------------------------------------------------------------------------- */

Status metrics_open(const char *run_dir, uint64_t step, Metrics **out) {
    *out = NULL;
    Metrics *metrics = calloc(1, sizeof *metrics);
    size_t bytes = strlen(run_dir) + sizeof "/metrics.csv";
    char *path = malloc(bytes);
    if (metrics == NULL || path == NULL) {
        free(path);
        free(metrics);
        return status_fail(ERR_WRITE, "no memory to open the metrics of %s", run_dir);
    }
    snprintf(path, bytes, "%s/metrics.csv", run_dir);
    *metrics = (Metrics){.path = path, .fd = -1};
    Status status = prepare(path, step);
    if (status == OK) {
        metrics->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
        if (metrics->fd < 0) status = write_failed(errno, path, 0, "open");
    }
    if (status == OK) *out = metrics;
    else metrics_close(&metrics);
    return status;
}

static void print_number(char *row, size_t *at, double value) {
    row[(*at)++] = ',';
    if (!isnan(value)) *at += (size_t)snprintf(row + *at, ROW_BYTES - *at, "%.9g", value);
}

Status metrics_append(Metrics *metrics, const MetricsRow *row) {
    char text[ROW_BYTES];
    size_t at = (size_t)snprintf(text, sizeof text, "%" PRIu64, row->step);
    print_number(text, &at, row->epoch);
    at += (size_t)snprintf(text + at, sizeof text - at, ",%.32s", row->split);
    const double number[] = {row->loss, row->accuracy, row->lr, row->grad_norm, row->tokens_per_s, row->seconds};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) print_number(text, &at, number[i]);
    text[at++] = '\n';

    off_t before = lseek(metrics->fd, 0, SEEK_END);
    int error = write_all(metrics->fd, text, at);
    if (error == 0) return OK;
    /* No half row stays for the next one to be appended to; should this fail too, the next open cuts it. */
    if (before >= 0 && ftruncate(metrics->fd, before) != 0) error = errno;
    return write_failed(error, metrics->path, at, "write");
}

void metrics_close(Metrics **metrics) {
    if (*metrics == NULL) return;
    if ((*metrics)->fd >= 0) close((*metrics)->fd);
    free((*metrics)->path);
    free(*metrics);
    *metrics = NULL;
}
