/* SPDX-License-Identifier: MIT
 *
 * row_counts.h: how often the global batch holds each id of the tables that ask for it: every rank counts its
 * own sequences, the counts are added over all ranks. Integers, so any order gives the same. Once per node in
 * memory, with one block of counters for each of its ranks beside the sums. */
#ifndef LOCKSTEP_COMM_ROW_COUNTS_H
#define LOCKSTEP_COMM_ROW_COUNTS_H

#include "comm/comm.h"

typedef struct RowCounts RowCounts;

/* What is counted, the same on all ranks: a batch of at most `sequences` in so many shards, of each sequence at most
 * `ids` ids. */
typedef struct RowCountsUse {
    size_t rows; /* above 0 */
    size_t shards, sequences, ids;
} RowCountsUse;

/* ERR_USAGE on all ranks if memory is short. The caller's: row_counts_destroy, which leaves the node's memory to
 * comm_finish. Collective. */
MUST_CHECK Status row_counts_create(Comm *comm, const RowCountsUse *use, RowCounts **out);
void row_counts_destroy(RowCounts **counts);

/* Bytes of node memory that they take. Local. */
size_t row_counts_bytes(const Comm *comm, size_t rows);

/* My counters [rows], zeroed: to be counted up before row_counts_sum. Local. */
uint32_t *row_counts_begin(RowCounts *counts);

/* Adds those of all ranks. The sums before stay where they are, those before them do not. Waits for all ranks, for a
 * bounded time. Collective. */
void row_counts_sum(RowCounts *counts);

/* The last sums [rows]. Local. */
const uint32_t *row_counts_total(const RowCounts *counts);

#endif
