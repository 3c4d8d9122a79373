/* SPDX-License-Identifier: MIT
 *
 * touched.h: tables of the flat block whose rows the global batch touches only in part. The gradient of a row that
 * nobody touches is +0: it is neither written nor read nor sent, and everybody knows alike which rows those are. */
#ifndef LOCKSTEP_COMM_TOUCHED_H
#define LOCKSTEP_COMM_TOUCHED_H

#include <stddef.h>
#include <stdint.h>

typedef struct TouchedTable {
    size_t offset, rows, width; /* floats [offset, offset + rows * width) of the flat block */
    const uint32_t *count;      /* [rows] 0: nobody touches the row in this step; the same on all ranks */
} TouchedTable;

/* By rising offset, without overlap. What is in no table counts as touched. No tables: all is. */
typedef struct Touched {
    TouchedTable *table;
    size_t tables;
} Touched;

typedef struct TouchedRun {
    size_t first, end;
} TouchedRun;

/* The next touched floats that follow each other in [at, end), as many as there are; {end, end}: none. Local. */
TouchedRun touched_run(const Touched *touched, size_t at, size_t end);

/* All of them:  EACH_TOUCHED(run, touched, first, end) ...  */
#define EACH_TOUCHED(run, touched, from, to)                                                                           \
    for (TouchedRun run = touched_run((touched), (from), (to)); run.first < run.end;                                   \
         run = touched_run((touched), run.end, (to)))

/* How many floats of [first, end) are touched. Local. */
size_t touched_floats(const Touched *touched, size_t first, size_t end);

/* The touched floats of block[0 ... end - first), which are [first, end) of the flat block, follow each other in
 * `packed`, which may be `block`. Returns how many. Local. */
size_t touched_pack(const Touched *touched, size_t first, size_t end, const float *block, float *packed);

/* The other way: to their places in the block. `packed` may stand at its end. Local. */
void touched_unpack(const Touched *touched, size_t first, size_t end, const float *packed, float *block);

#endif
