/* SPDX-License-Identifier: MIT
 *
 * trace_file.c: see trace_file.h. */
#include "trainer/trace_file.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/log.h"
#include "comm/trace.h"

enum { LANES = 64 };

struct TraceFile {
    Comm *comm;
    const char *path;
    FILE *file;    /* rank 0 alone */
    double origin; /* of this rank's clock; all ranks were at the same barrier then */
    bool first;
};

/* What a rank says before its spans. */
typedef struct TraceHead {
    uint64_t count, beyond;
    double origin;
    char host[64];
} TraceHead;

Status trace_file_start(Comm *comm, const char *path, TraceFile **out) {
    *out = NULL;
    TraceFile *t = calloc(1, sizeof *t);
    Status status =
        t && trace_start(TRACE_MOST) ? OK : status_fail(ERR_USAGE, "memory: no room for the trace; free some");
    if (status == OK) {
        *t = (TraceFile){.comm = comm, .path = path, .first = true};
        if (comm_rank(comm) == 0) t->file = fopen(path, "w");
        if (comm_rank(comm) == 0 && !t->file)
            status = status_fail(ERR_WRITE, "trace (%s): %s; give --trace a path that can be written", path,
                                 strerror(errno));
    }
    status = comm_agree(comm, status);
    if (status != OK) {
        trace_file_drop(&t);
        return status;
    }
    comm_barrier(comm);
    t->origin = trace_time();
    *out = t;
    return OK;
}

void trace_file_drop(TraceFile **file) {
    if (!*file) return;
    if ((*file)->file) fclose((*file)->file);
    free(*file);
    trace_stop();
    *file = NULL;
}

/* ---- one event after the other --------------------------------------------------------------------------- */

static void put(TraceFile *t, json_t *event) {
    if (!t->first) fputs(",\n", t->file);
    t->first = false;
    if (!event || json_dumpf(event, t->file, JSON_COMPACT | JSON_REAL_PRECISION(15)) != 0) clearerr(t->file);
    json_decref(event);
}

static void put_name(TraceFile *t, const char *kind, size_t rank, size_t row, const char *name) {
    put(t, json_pack("{s:s, s:s, s:I, s:I, s:{s:s}}", "name", kind, "ph", "M", "pid", (json_int_t)rank, "tid",
                     (json_int_t)row, "args", "name", name));
}

/* Readers of a trace count in whole ns; a span that sticks out of its outer one by a rounded one has no place in its
 * row. */
static double nanoseconds(double origin, double time) {
    return nearbyint((time - origin) * 1e9);
}

static void put_span(TraceFile *t, size_t rank, double origin, const TraceSpan *span, size_t row) {
    static const char *const category[] = {"step", "checkpoint", "exchange"};
    const double begun = nanoseconds(origin, span->begun);
    json_t *args = span->row == TRACE_EXCHANGE
                       ? json_pack("{s:I, s:I}", "rank", (json_int_t)span->number, "bytes", (json_int_t)span->bytes)
                       : json_pack("{s:I}", "step", (json_int_t)span->number);
    put(t, json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:f, s:o}", "name", span->name, "cat", category[span->row], "ph",
                     "X", "pid", (json_int_t)rank, "tid", (json_int_t)row, "ts", begun * 1e-3, "dur",
                     (nanoseconds(origin, span->ended) - begun) * 1e-3, "args", args));
}

static int by_start(const void *a, const void *b) {
    const TraceSpan *x = a, *y = b;
    if (x->begun != y->begun) return x->begun < y->begun ? -1 : 1;
    return (y->ended > x->ended) - (y->ended < x->ended); /* the outer one first */
}

/* Messages go to the first lane that is free, since spans of a row must not overlap. */
static void put_rank(TraceFile *t, size_t rank, const TraceHead *head, TraceSpan *spans) {
    char name[128];
    double busy[LANES] = {0};
    size_t lanes = 0;
    qsort(spans, head->count, sizeof *spans, by_start);
    snprintf(name, sizeof name, "rank %zu (%.64s)", rank, head->host);
    put_name(t, "process_name", rank, 0, name);
    put_name(t, "thread_name", rank, TRACE_STEP, "steps");
    put_name(t, "thread_name", rank, TRACE_WRITER, "checkpoint writer");
    for (size_t i = 0; i < head->count; i++) {
        size_t row = spans[i].row;
        if (row == TRACE_EXCHANGE) {
            size_t lane = 0;
            while (lane < LANES - 1 && busy[lane] > spans[i].begun) lane++;
            busy[lane] = spans[i].ended;
            if (lane >= lanes) lanes = lane + 1;
            row += lane;
        }
        put_span(t, rank, head->origin, &spans[i], row);
    }
    for (size_t lane = 0; lane < lanes; lane++) {
        snprintf(name, sizeof name, "messages %zu", lane + 1);
        put_name(t, "thread_name", rank, TRACE_EXCHANGE + lane, name);
    }
}

/* ---- bringing them together -------------------------------------------------------------------------------- */

static Status close_file(TraceFile *t) {
    bool failed = ferror(t->file) != 0;
    failed |= fclose(t->file) != 0;
    t->file = NULL;
    if (failed)
        return status_fail(ERR_WRITE, "trace (%s): %s; free space or give another path", t->path, strerror(errno));
    return OK;
}

static Status write_all(TraceFile *t, const TraceHead *mine, const TraceSpan *spans) {
    size_t bytes = TRACE_MOST * sizeof *spans, beyond = 0;
    TraceSpan *theirs = pages_alloc(bytes);
    if (!theirs) comm_abort(t->comm, ERR_INTERNAL);
    fputs("{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n", t->file);
    for (size_t rank = 0; rank < comm_size(t->comm); rank++) {
        TraceHead head = *mine;
        if (rank > 0) comm_receive(t->comm, rank, &head, sizeof head);
        if (rank > 0) comm_receive(t->comm, rank, theirs, head.count * sizeof *theirs);
        else memcpy(theirs, spans, head.count * sizeof *theirs);
        put_rank(t, rank, &head, theirs);
        beyond += head.beyond;
    }
    fputs("\n]}\n", t->file);
    pages_free(theirs, bytes);
    if (beyond > 0) log_warn("trace: the first %d spans of each rank are kept, %zu more are not", TRACE_MOST, beyond);
    return close_file(t);
}

Status trace_file_finish(TraceFile **file) {
    TraceFile *t = *file;
    size_t count, beyond;
    const TraceSpan *spans = trace_spans(&count, &beyond);
    TraceHead head = {.count = count, .beyond = beyond, .origin = t->origin};
    snprintf(head.host, sizeof head.host, "%s", comm_host(t->comm));
    Status status = OK;
    if (comm_rank(t->comm) == 0) {
        status = write_all(t, &head, spans);
    } else {
        comm_send(t->comm, 0, &head, sizeof head);
        comm_send(t->comm, 0, spans, count * sizeof *spans);
    }
    status = comm_agree(t->comm, status);
    trace_file_drop(file);
    return status;
}
