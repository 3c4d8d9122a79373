/* SPDX-License-Identifier: MIT
 *
 * row_counts.c: see row_counts.h. The ranks of a node add up the rows, part by part; then the first rank of
 * every node tells its node's sums to the first ranks of the others, piece by piece: all of them or, where that is
 * less, the rows that it found with their counts. How much that can be follows from the shards of a node, so both ends
 * know the length: it is filled up with zeros. */
#include "comm/row_counts.h"

#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/fold.h"
#include "comm/private.h"
#include "comm/work.h"

enum {
    WORDS_AT_ONCE = 1 << 16, /* even: a row and its count stay together */
    ROWS_OF_PART = 1 << 12
};

struct RowCounts {
    Comm *comm;
    size_t rows;
    uint32_t *mine;   /* [rows] */
    uint32_t *node;   /* [node_size][rows] */
    uint32_t *total;  /* [rows] */
    uint32_t *before; /* [rows] of the sum before */
    Work *adding;
    uint64_t sums; /* so far */

    /* on the first rank of a node, where there are several */
    size_t *words;    /* [nodes] of a node's message; below `rows`: pairs */
    uint32_t *pairs;  /* [words of my node] */
    uint32_t *theirs; /* [nodes][WORDS_AT_ONCE] */
};

size_t row_counts_bytes(const Comm *comm, size_t rows) {
    size_t bytes;
    return size_multiply3(comm->node_size + 2, rows, sizeof(uint32_t), &bytes) ? bytes : SIZE_MAX;
}

/* A node counts no more rows than its shards can hold ids. */
static size_t words_of(const Comm *comm, const RowCountsUse *use, size_t node) {
    size_t shards = 0, words;
    for (size_t i = comm->node_start[node]; i < comm->node_start[node + 1]; i++) {
        size_t first, end;
        fold_range(use->shards, comm->size, comm->order[i], &first, &end);
        shards += end - first;
    }
    if (use->rows > UINT32_MAX || !size_multiply(shards, use->sequences, &words)) return use->rows;
    words = words / use->shards + (words % use->shards != 0);
    return size_multiply3(words, use->ids, 2, &words) && words < use->rows ? words : use->rows;
}

static bool make_room(RowCounts *c, const RowCountsUse *use) {
    const Comm *comm = c->comm;
    if (comm->nodes == 1 || comm->node_rank > 0) return true;
    c->words = calloc(comm->nodes, sizeof *c->words);
    c->theirs = calloc(comm->nodes, WORDS_AT_ONCE * sizeof *c->theirs);
    if (!c->words || !c->theirs) return false;
    for (size_t n = 0; n < comm->nodes; n++) c->words[n] = words_of(comm, use, n);
    c->pairs = calloc(c->words[comm->node] + 1, sizeof *c->pairs);
    return c->pairs != NULL;
}

Status row_counts_create(Comm *comm, const RowCountsUse *use, RowCounts **out) {
    *out = NULL;
    RowCounts *c = calloc(1, sizeof *c);
    if (c) c->comm = comm;
    Status status = c && make_room(c, use)
                        ? OK
                        : status_fail(ERR_USAGE, "memory: no room for counts of %zu rows; free some", use->rows);
    void *block = NULL;
    status = comm_agree(comm, status);
    if (status == OK) status = comm_share(comm, row_counts_bytes(comm, use->rows), "counts of looked-up rows", &block);
    if (status == OK) status = work_create(comm, 1, &c->adding);
    if (status != OK) {
        row_counts_destroy(&c);
        return status;
    }
    c->rows = use->rows;
    c->total = block;
    c->before = c->total + c->rows;
    c->node = c->before + c->rows;
    c->mine = c->node + comm->node_rank * c->rows;
    *out = c;
    return OK;
}

void row_counts_destroy(RowCounts **counts) {
    RowCounts *c = *counts;
    if (!c) return;
    work_destroy(&c->adding);
    free(c->words);
    free(c->pairs);
    free(c->theirs);
    free(c);
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
    size_t parts = c->rows / ROWS_OF_PART + 1, part, first, end;
    c->sums++;
    while (work_take(c->adding, 0, c->sums, parts, &part)) {
        fold_range(c->rows, parts, part, &first, &end);
        for (size_t v = first; v < end; v++) {
            uint32_t sum = 0;
            for (size_t r = 0; r < c->comm->node_size; r++) sum += c->node[r * c->rows + v];
            c->total[v] = sum;
        }
        work_done(c->adding, 0);
    }
    work_await(c->adding, 0, c->sums, parts);
}

/* What my node counted, in the form of its message. `mine` is nobody's any more. */
static const uint32_t *node_message(RowCounts *c) {
    size_t words = c->words[c->comm->node], at = 0;
    if (words == c->rows) return memcpy(c->mine, c->total, c->rows * sizeof *c->mine);
    for (size_t v = 0; v < c->rows; v++) {
        if (c->total[v] == 0) continue;
        if (at == words) comm_abort(c->comm, ERR_INTERNAL); /* more ids than the use allows */
        c->pairs[at++] = (uint32_t)v;
        c->pairs[at++] = c->total[v];
    }
    memset(c->pairs + at, 0, (words - at) * sizeof *c->pairs);
    return c->pairs;
}

static void add_words(RowCounts *c, size_t node, size_t first, size_t count) {
    const uint32_t *theirs = c->theirs + node * WORDS_AT_ONCE;
    if (c->words[node] == c->rows)
        for (size_t v = 0; v < count; v++) c->total[first + v] += theirs[v];
    else
        for (size_t i = 0; i < count; i += 2) c->total[theirs[i]] += theirs[i + 1];
}

/* Words of a node's message in the piece that starts at `first`. */
static size_t piece_words(const RowCounts *c, size_t node, size_t first) {
    size_t words = c->words[node] > first ? c->words[node] - first : 0;
    return words < WORDS_AT_ONCE ? words : WORDS_AT_ONCE;
}

/* True unless no node has anything there. */
static bool exchange_piece(RowCounts *c, const uint32_t *message, size_t first) {
    Comm *comm = c->comm;
    Request *sends = comm->requests, *receives = comm->requests + comm->nodes;
    size_t mine = piece_words(c, comm->node, first), most = mine;
    for (size_t n = 0; n < comm->nodes; n++) {
        size_t leader = comm->order[comm->node_start[n]], theirs = piece_words(c, n, first);
        if (n == comm->node) continue;
        if (theirs > most) most = theirs;
        if (theirs > 0)
            comm->transport->receive(&receives[n], leader, TAG_COUNTS, c->theirs + n * WORDS_AT_ONCE,
                                     theirs * sizeof *c->theirs);
        if (mine > 0) comm->transport->send(&sends[n], leader, TAG_COUNTS, message + first, mine * sizeof *message);
    }
    for (size_t n = 0; n < comm->nodes; n++) {
        size_t leader = comm->order[comm->node_start[n]], theirs = piece_words(c, n, first);
        if (n == comm->node) continue;
        if (theirs > 0) wait_request(comm, &receives[n], leader);
        if (mine > 0) wait_request(comm, &sends[n], leader);
        add_words(c, n, first, theirs);
    }
    return most > 0;
}

static void exchange(RowCounts *c) {
    const uint32_t *message = node_message(c);
    for (size_t first = 0; exchange_piece(c, message, first);) first += WORDS_AT_ONCE;
}

void row_counts_sum(RowCounts *c) {
    Comm *comm = c->comm;
    uint32_t *oldest = c->before;
    c->before = c->total;
    c->total = oldest;
    comm_node_barrier(comm); /* all have counted, and are through with the oldest sums */
    sum_node(c);
    if (comm->nodes == 1) return;
    if (comm->node_rank == 0) exchange(c);
    comm_node_barrier(comm);
}
