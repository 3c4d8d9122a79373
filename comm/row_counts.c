/* SPDX-License-Identifier: MIT
 *
 * row_counts.c: see row_counts.h. The ranks of a node add up a part of the rows each; then the first rank of
 * every node tells its node's sums to the first ranks of the others, piece by piece. */
#include "comm/row_counts.h"

#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/fold.h"
#include "comm/private.h"

enum { ROWS_AT_ONCE = 1 << 16 };

struct RowCounts {
    Comm *comm;
    size_t rows;
    uint32_t *mine;   /* [rows] */
    uint32_t *node;   /* [node_size][rows] */
    uint32_t *total;  /* [rows] */
    uint32_t *theirs; /* [nodes][ROWS_AT_ONCE] on the first rank of a node, where there are several */
};

size_t row_counts_bytes(const Comm *comm, size_t rows) {
    size_t bytes;
    return size_multiply3(comm->node_size + 1, rows, sizeof(uint32_t), &bytes) ? bytes : SIZE_MAX;
}

Status row_counts_create(Comm *comm, size_t rows, RowCounts **out) {
    *out = NULL;
    RowCounts *c = calloc(1, sizeof *c);
    bool tells = comm->nodes > 1 && comm->node_rank == 0;
    if (c && tells) c->theirs = calloc(comm->nodes, ROWS_AT_ONCE * sizeof *c->theirs);
    Status status = c && (!tells || c->theirs)
                        ? OK
                        : status_fail(ERR_USAGE, "memory: no room for counts of %zu rows; free some", rows);
    void *block = NULL;
    status = comm_agree(comm, status);
    if (status == OK) status = comm_share(comm, row_counts_bytes(comm, rows), "counts of looked-up rows", &block);
    if (status != OK) {
        row_counts_destroy(&c);
        return status;
    }
    c->comm = comm;
    c->rows = rows;
    c->total = block;
    c->node = c->total + rows;
    c->mine = c->node + comm->node_rank * rows;
    *out = c;
    return OK;
}

void row_counts_destroy(RowCounts **counts) {
    if (!*counts) return;
    free((*counts)->theirs);
    free(*counts);
    *counts = NULL;
}

uint32_t *row_counts_begin(RowCounts *c) {
    memset(c->mine, 0, c->rows * sizeof *c->mine);
    return c->mine;
}

const uint32_t *row_counts_total(const RowCounts *c) {
    return c->total;
}

static void sum_node(RowCounts *c) {
    size_t first, end;
    fold_range(c->rows, c->comm->node_size, c->comm->node_rank, &first, &end);
    for (size_t v = first; v < end; v++) {
        uint32_t sum = 0;
        for (size_t r = 0; r < c->comm->node_size; r++) sum += c->node[r * c->rows + v];
        c->total[v] = sum;
    }
}

/* What my node counted of a piece stands in `mine`, which nobody else uses any more. */
static void exchange_piece(RowCounts *c, size_t first, size_t count) {
    Comm *comm = c->comm;
    Request *sends = comm->requests, *receives = comm->requests + comm->nodes;
    memcpy(c->mine + first, c->total + first, count * sizeof *c->mine);
    for (size_t n = 0; n < comm->nodes; n++) {
        size_t leader = comm->order[comm->node_start[n]];
        if (n == comm->node) continue;
        comm->transport->receive(&receives[n], leader, TAG_COUNTS, c->theirs + n * ROWS_AT_ONCE,
                                 count * sizeof *c->mine);
        comm->transport->send(&sends[n], leader, TAG_COUNTS, c->mine + first, count * sizeof *c->mine);
    }
    for (size_t n = 0; n < comm->nodes; n++) {
        size_t leader = comm->order[comm->node_start[n]];
        if (n == comm->node) continue;
        wait_request(comm, &receives[n], leader);
        wait_request(comm, &sends[n], leader);
        for (size_t v = 0; v < count; v++) c->total[first + v] += c->theirs[n * ROWS_AT_ONCE + v];
    }
}

void row_counts_sum(RowCounts *c) {
    Comm *comm = c->comm;
    comm_node_barrier(comm); /* all have counted, and are through with the sums before */
    sum_node(c);
    comm_node_barrier(comm);
    if (comm->nodes == 1) return;
    for (size_t first = 0; first < c->rows && comm->node_rank == 0; first += ROWS_AT_ONCE)
        exchange_piece(c, first, c->rows - first < ROWS_AT_ONCE ? c->rows - first : ROWS_AT_ONCE);
    comm_node_barrier(comm);
}
