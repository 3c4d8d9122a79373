/* SPDX-License-Identifier: MIT
 *
 * trace.h: what a rank did when, for `train --trace`. Off until trace_start; then the first spans are kept, as many as
 * there is room for, in memory taken at once. Each process has one. Times are seconds of the monotonic clock. */
#ifndef LOCKSTEP_COMM_TRACE_H
#define LOCKSTEP_COMM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Spans of one row are nested, those of TRACE_EXCHANGE overlap as they like. */
typedef enum TraceRow { TRACE_STEP, TRACE_WRITER, TRACE_EXCHANGE, TRACE_ROWS } TraceRow;

typedef struct TraceSpan {
    char name[48];
    double begun, ended;
    int64_t number; /* the step; of TRACE_EXCHANGE the other rank */
    uint64_t bytes; /* 0: none */
    uint32_t row;
} TraceSpan;

/* Room for `most` spans. False where memory is short. Local. */
bool trace_start(size_t most);
void trace_stop(void);

/* The time now, 0 while tracing is off. Local. */
double trace_time(void);

/* A span that ends now; nothing if `begun` is 0, that is, tracing was off. Any thread. Local. */
void trace_span(TraceRow row, const char *name, double begun, int64_t number, uint64_t bytes);

/* What was kept, and how many more there were. While no other thread traces. Local. */
const TraceSpan *trace_spans(size_t *count, size_t *beyond);

#endif
