/* SPDX-License-Identifier: MIT
 *
 * touched.c: see touched.h. */
#include "comm/touched.h"

#include <stdbool.h>
#include <string.h>

/* The first table that ends behind `at`; NULL: there is none. */
static const TouchedTable *table_from(const Touched *touched, size_t at) {
    for (size_t i = 0; i < touched->tables; i++) {
        const TouchedTable *t = &touched->table[i];
        if (t->offset + t->rows * t->width > at) return t;
    }
    return NULL;
}

/* Passes over the rows from the one at `at` on that are touched, or that are not. */
static size_t pass_rows(const TouchedTable *t, size_t at, size_t end, bool touched) {
    size_t row = (at - t->offset) / t->width, last = (end - 1 - t->offset) / t->width;
    if (last >= t->rows) last = t->rows - 1;
    size_t from = row;
    while (row <= last && (t->count[row] > 0) == touched) row++;
    return row == from ? at : t->offset + row * t->width;
}

TouchedRun touched_run(const Touched *touched, size_t at, size_t end) {
    const TouchedTable *t;
    while (at < end && (t = table_from(touched, at)) != NULL && t->offset <= at) {
        size_t next = pass_rows(t, at, end, false);
        if (next == at) break;
        at = next;
    }
    if (at >= end) return (TouchedRun){end, end};
    TouchedRun run = {at, at};
    while (run.end < end) {
        t = table_from(touched, run.end);
        size_t next = !t || t->offset >= end ? end : t->offset > run.end ? t->offset : pass_rows(t, run.end, end, true);
        if (next == run.end) break;
        run.end = next;
    }
    if (run.end > end) run.end = end;
    return run;
}

size_t touched_floats(const Touched *touched, size_t first, size_t end) {
    size_t floats = 0;
    EACH_TOUCHED(run, touched, first, end) floats += run.end - run.first;
    return floats;
}

size_t touched_pack(const Touched *touched, size_t first, size_t end, const float *block, float *packed) {
    size_t at = 0;
    EACH_TOUCHED(run, touched, first, end) {
        size_t count = run.end - run.first;
        const float *from = block + (run.first - first);
        if (packed + at != from) memmove(packed + at, from, count * sizeof *from);
        at += count;
    }
    return at;
}

void touched_unpack(const Touched *touched, size_t first, size_t end, const float *packed, float *block) {
    /* At the end of the block no float stands before its place, so none is overwritten that is yet to be moved. */
    EACH_TOUCHED(run, touched, first, end) {
        size_t count = run.end - run.first;
        float *to = block + (run.first - first);
        if (packed != to) memmove(to, packed, count * sizeof *to);
        packed += count;
    }
}
