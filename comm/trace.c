/* SPDX-License-Identifier: MIT
 *
 * trace.c: see trace.h. A span's place is taken with one atomic addition, so that threads do not wait for each other. */
#include "comm/trace.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "comm/arena.h"

static TraceSpan *spans;
static size_t room;
static _Atomic size_t used;

bool trace_start(size_t most) {
    spans = pages_alloc(most * sizeof *spans);
    room = spans ? most : 0;
    atomic_store(&used, 0);
    return spans != NULL;
}

void trace_stop(void) {
    if (spans) pages_free(spans, room * sizeof *spans);
    spans = NULL;
    room = 0;
}

double trace_time(void) {
    if (!spans) return 0;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void trace_span(TraceRow row, const char *name, double begun, int64_t number, uint64_t bytes) {
    if (!spans || begun <= 0) return;
    size_t at = atomic_fetch_add(&used, 1);
    if (at >= room) return;
    spans[at] =
        (TraceSpan){.begun = begun, .ended = trace_time(), .number = number, .bytes = bytes, .row = (uint32_t)row};
    snprintf(spans[at].name, sizeof spans[at].name, "%s", name);
}

const TraceSpan *trace_spans(size_t *count, size_t *beyond) {
    size_t all = atomic_load(&used);
    *count = all < room ? all : room;
    *beyond = all - *count;
    return spans;
}
