/* SPDX-License-Identifier: MIT
 *
 * reduce.c: the ordered sum. Within a node a rank reads its neighbours' gradients where they lie and
 * leaves the sum in its own block. Of what another node owns, the ranks of a node first fold what the node
 * has, each a part, in place, and send it to the owner (see reduce_wire.c).
 *
 * On one node a step has two meetings of all ranks with owners, and none of all with all: owners wait until
 * everybody's gradient is final, which comes with the rank's word, and everybody waits until the owners have summed;
 * then, if there is an update, until they have written. Nobody reads a neighbour's gradient after reduce_sum,
 * so the next step may overwrite it; sums and words of a step are read by all before an owner is told that all
 * gradients of the next are final. */
#include "comm/reduce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/reduce_private.h"
#include "comm/region.h"
#include "comm/trace.h"

/* ---- blocks ---------------------------------------------------------------------------------------- */

static size_t blocks_of_node(const Reduce *r) {
    return r->first_block[r->comm->node_size];
}

static _Atomic uint64_t *chunk_flag(const Reduce *r, size_t node_rank, size_t chunk) {
    return &r->flags[node_rank * r->chunks + chunk];
}

size_t reduce_segments(const Reduce *r, const FoldNode **nodes) {
    size_t first = r->first_block[r->comm->node_rank];
    *nodes = r->segments;
    return r->first_block[r->comm->node_rank + 1] - first;
}

float *reduce_gradient(Reduce *r, size_t segment) {
    return r->own_inputs[r->first_block[r->comm->node_rank] + segment].data;
}

void reduce_touched(Reduce *r, const Touched *touched) {
    r->touched = touched;
}

void reduce_kept(Reduce *r, const Touched *kept) {
    r->kept = kept;
}

void reduce_overlap(Reduce *r, bool on) {
    r->overlap = on;
}

ReduceTimes reduce_times(Reduce *r) {
    ReduceTimes times = r->times;
    r->times = (ReduceTimes){0};
    return times;
}

/* ---- creation -------------------------------------------------------------------------------------- */

static bool count_blocks(Reduce *r) {
    const Comm *comm = r->comm;
    r->first_block = calloc(comm->node_size + 1, sizeof *r->first_block);
    if (!r->first_block) return false;
    for (size_t i = 0; i < comm->node_size; i++) {
        FoldNode segments[FOLD_MAX_SEGMENTS];
        size_t first, end, rank = comm->order[comm->node_start[comm->node] + i];
        fold_range(r->shards, comm->size, rank, &first, &end);
        size_t count = fold_segments(r->shards, first, end, segments);
        if (rank == comm->rank) memcpy(r->segments, segments, sizeof segments);
        r->first_block[i + 1] = r->first_block[i] + count;
    }
    return true;
}

/* Flags, figures and gradient blocks in one block of node memory. Gradient blocks stand at different
 * offsets within a page, so that the same element of several blocks does not compete for cache sets. */
static Status share_gradients(Reduce *r) {
    const Comm *comm = r->comm;
    size_t flags, blocks, stride, total, here = 0, skew = 576;
    size_t owners = comm->node_size * sizeof *r->owners;
    bool fits = size_multiply3(comm->node_size, r->chunks, sizeof *r->flags, &flags) &&
                size_multiply(r->count, 4, &stride) && stride < SIZE_MAX / 4;
    if (!fits)
        return status_fail(ERR_USAGE, "gradients: %zu elements do not fit an address; make the model smaller",
                           r->count);
    stride = (stride + 4095) / 4096 * 4096 + skew;
    size_t squares = (r->chunks * sizeof *r->squares + 127) / 128 * 128;
    flags = (flags + 127) / 128 * 128;
    if (comm->nodes > 1) here = (r->buckets * comm->size * sizeof *r->here + 127) / 128 * 128;
    if (!size_multiply(blocks_of_node(r), stride, &blocks) || blocks > SIZE_MAX / 2) {
        return status_fail(ERR_USAGE,
                           "gradients: %zu blocks of %zu elements do not fit an address; make the model smaller",
                           blocks_of_node(r), r->count);
    }
    total = owners + flags + squares + here + blocks;
    void *memory;
    TRY(comm_share(r->comm, total, "gradients", &memory));
    char *at = memory;
    r->owners = (ReduceOwner *)(void *)at;
    r->flags = (_Atomic uint64_t *)(void *)(at += owners);
    r->squares = (double *)(void *)(at += flags);
    r->here = (_Atomic uint64_t *)(void *)(at += squares);
    at += here;
    for (size_t b = 0; b < blocks_of_node(r); b++) r->own_inputs[b].data = (float *)(void *)(at + b * stride);
    r->result = r->own_inputs[r->first_block[comm->node_rank]].data;
    return OK;
}

/* Whose segment stands in which block. */
static void name_blocks(Reduce *r) {
    const Comm *comm = r->comm;
    for (size_t i = 0; i < comm->node_size; i++) {
        FoldNode segments[FOLD_MAX_SEGMENTS];
        size_t first, end;
        fold_range(r->shards, comm->size, comm->order[comm->node_start[comm->node] + i], &first, &end);
        size_t count = fold_segments(r->shards, first, end, segments);
        for (size_t s = 0; s < count; s++) r->own_inputs[r->first_block[i] + s].node = segments[s];
    }
}

static Status plan(Reduce *r) {
    Comm *comm = r->comm;
    static const char short_of[] = "memory for the plan of the reduction: not available";
    bool ok = share_plan(r) && count_blocks(r);
    r->received = ok ? wire_count_received(r) : 0;
    size_t inputs = ok ? blocks_of_node(r) + r->received : 0;
    if (ok) r->own_inputs = calloc(inputs + 1, sizeof *r->own_inputs);
    r->all_squares = comm->nodes > 1 ? calloc(r->chunks + 1, sizeof *r->all_squares) : NULL;
    ok = ok && r->own_inputs && (comm->nodes == 1 || r->all_squares);
    TRY(comm_agree(comm, ok ? OK : status_fail(ERR_USAGE, short_of)));
    name_blocks(r);
    TRY(share_gradients(r));
    Status status = wire_create(r);
    if (status == OK && !tree_compile(&r->own_tree, r->shards, fold_root(r->shards), r->own_inputs, inputs)) {
        status = status_fail(ERR_USAGE, short_of);
    }
    return comm_agree(comm, status);
}

static const Touched everything = {0};

Status reduce_create(Comm *comm, float *params, size_t count, size_t shards, Reduce **out) {
    *out = NULL;
    if (shards < comm->size) {
        return status_fail(ERR_USAGE,
                           "train.shards (%zu): fewer shards than ranks (%zu); start %zu ranks or fewer, or set "
                           "train.shards=%zu or more",
                           shards, comm->size, shards, comm->size);
    }
    Reduce *r = calloc(1, sizeof *r);
    TRY(comm_agree(comm, r ? OK : status_fail(ERR_USAGE, "memory for the reduction: not available")));
    r->comm = comm;
    r->params = params;
    r->count = count;
    r->shards = shards;
    r->chunks = (count + REDUCE_CHUNK - 1) / REDUCE_CHUNK;
    r->step = 1;
    r->overlap = true;
    r->touched = r->kept = &everything;
    Status status = plan(r);
    if (status != OK) {
        reduce_destroy(&r);
        return status;
    }
    *out = r;
    return OK;
}

void reduce_destroy(Reduce **reduce) {
    Reduce *r = *reduce;
    if (!r) return;
    wire_destroy(r);
    share_release(r);
    tree_release(&r->own_tree);
    free(r->first_block);
    free(r->own_inputs);
    free(r->all_squares);
    free(r->words);
    free(r);
    *reduce = NULL;
}

/* ---- what is ready ------------------------------------------------------------------------------------
 * A chunk's flag holds the step and the number of its floats that are final in it; only the rank that
 * writes the gradient writes it. Padding between parameters is never announced: reduce_sum announces
 * the rest. */

static void begin_sum(Reduce *r) {
    if (r->begun == r->step) return;
    r->begun = r->step;
    r->unsummed = r->mine;
    if (r->wire) wire_begin(r);
}

void reduce_ready(Reduce *r, size_t offset, size_t count) {
    if (r->comm->size == 1) return;
    begin_sum(r);
    for (size_t end = offset + count; offset < end;) {
        size_t chunk = offset / REDUCE_CHUNK, next = (chunk + 1) * REDUCE_CHUNK;
        size_t part = (next < end ? next : end) - offset;
        _Atomic uint64_t *flag = chunk_flag(r, r->comm->node_rank, chunk);
        uint64_t before = atomic_load_explicit(flag, memory_order_relaxed);
        uint64_t floats = before >> 32 == (uint32_t)r->step ? (uint32_t)before : 0;
        atomic_store_explicit(flag, (uint64_t)(uint32_t)r->step << 32 | (floats + part), memory_order_release);
        offset += part;
    }
}

static bool is_final(const Reduce *r, size_t node_rank) {
    return r->final > 0 && node_arrived(r->comm, node_rank, r->final);
}

static bool rank_is_ready(const Reduce *r, size_t node_rank, size_t first, size_t end) {
    if (is_final(r, node_rank)) return true;
    for (size_t c = first; c < end; c++) {
        uint64_t flag = atomic_load_explicit(chunk_flag(r, node_rank, c), memory_order_acquire);
        if (flag != ((uint64_t)(uint32_t)r->step << 32 | reduce_chunk_floats(r, c, c + 1))) return false;
    }
    return true;
}

bool reduce_node_ready(const Reduce *r, size_t first, size_t end) {
    for (size_t i = 0; i < r->comm->node_size; i++) {
        if (!rank_is_ready(r, i, first, end)) return false;
    }
    return true;
}

/* ---- phase one ---------------------------------------------------------------------------------------- */

static void sum_chunk(Reduce *r, const ReduceChunk *chunk) {
    TreeSquares squares = {0};
    EACH_TOUCHED(run, r->touched, chunk->offset, chunk->offset + chunk->count) {
        size_t first = run.first - chunk->offset, count = run.end - run.first;
        tree_run(&r->own_tree, r->own_inputs, run.first, chunk->at + first, count, r->result + run.first);
        tree_squares_add(&squares, r->result + run.first, first, count);
    }
    r->squares[chunk->offset / REDUCE_CHUNK] = tree_squares_sum(&squares);
}

/* Sums those of my chunks that come next and are ready, at most so many; returns how many. */
static size_t sum_ready(Reduce *r, size_t most) {
    size_t end = r->unsummed;
    while (r->unsummed > 0 && end - r->unsummed < most) {
        size_t next = r->chunk[r->unsummed - 1].offset / REDUCE_CHUNK;
        if (!wire_has_received(r, r->unsummed - 1) || !reduce_node_ready(r, next, next + 1)) break;
        r->unsummed--;
    }
    const size_t count = end - r->unsummed;
    PARALLEL(count > 1 ? r->comm->threads : 1, count) {
#pragma omp for schedule(static) nowait
        for (size_t i = r->unsummed; i < end; i++) sum_chunk(r, &r->chunk[i]);
    }
    return count;
}

/* For whom we wait, when nothing is left to do. */
static size_t missing_rank(const Reduce *r) {
    const Comm *comm = r->comm;
    for (size_t i = 0; i < comm->node_size; i++) {
        if (!is_final(r, i)) return comm->order[comm->node_start[comm->node] + i];
    }
    return wire_missing(r);
}

static void sum_all(Reduce *r) {
    size_t most = r->wire ? 32 * r->comm->threads : SIZE_MAX;
    uint64_t entered = wait_clock();
    double traced = trace_time();
    Wait wait = {0};
    begin_sum(r);
    while (r->unsummed > 0 || (r->wire && !wire_is_done(r))) {
        bool moved = r->wire && wire_move(r);
        if (sum_ready(r, most) > 0) moved = true;
        if (moved) wait_over(r->comm, &wait);
        else wait_turn(r->comm, &wait, missing_rank(r));
    }
    wait_over(r->comm, &wait);
    if (!r->wire) return;
    wire_book(r, entered);
    trace_span(TRACE_STEP, "wait for gradients", traced, (int64_t)r->comm->step, 0);
}

enum { POLL_NS = 100000, POLL_CHUNKS = 16 };

void reduce_poll(Reduce *r) {
    if (!r->overlap || r->comm->size == 1) return;
    uint64_t now = wait_clock();
    if (now - r->polled < POLL_NS) return;
    publish_move(r);
    if (r->begun == r->step) {
        if (r->wire) wire_move(r);
        sum_ready(r, POLL_CHUNKS * r->comm->threads);
    }
    r->polled = wait_clock();
}

/* What a rank sends at the end where nodes share no memory: its word and its chunks' figures. */
static void exchange_figures(Reduce *r, const void *word, size_t bytes, void *words) {
    Comm *comm = r->comm;
    size_t size = bytes + share_most(r) * sizeof(double);
    if (size == 0) size = 1;
    if (size > r->word_room) {
        free(r->words);
        r->words = malloc(size * (comm->size + 1));
        r->word_room = size;
        if (!r->words) wait_lost(comm, comm->rank, "it is out of memory");
    }
    char *mine = r->words + comm->size * size;
    memset(mine, 0, size);
    if (bytes > 0) memcpy(mine, word, bytes);
    for (size_t i = 0; i < r->mine; i++) {
        const double *from = r->squares + r->chunk[i].offset / REDUCE_CHUNK;
        memcpy(mine + bytes + i * sizeof *from, from, sizeof *from);
    }
    comm_exchange(comm, mine, size, r->words);
    for (size_t rank = 0; rank < comm->size; rank++) {
        const char *theirs = r->words + rank * size;
        if (bytes > 0) memcpy((char *)words + rank * bytes, theirs, bytes);
        theirs += bytes;
        for (size_t b = 0; b < r->buckets; b++) {
            size_t first, end;
            share_of(r, b, rank, &first, &end);
            memcpy(r->all_squares + first, theirs, (end - first) * sizeof(double));
            theirs += (end - first) * sizeof(double);
        }
    }
}

void reduce_meet_owners(Reduce *r, OwnerDone what) {
    Comm *comm = r->comm;
    atomic_store_explicit(&r->owners[comm->node_rank].done[what], r->step, memory_order_release);
    for (size_t i = 0; i < comm->node_size; i++)
        if (r->owns[i]) node_await_counter(comm, i, &r->owners[i].done[what], r->step);
}

void reduce_sum(Reduce *r, const void *word, size_t bytes, void *words, ReduceSum *sum) {
    Comm *comm = r->comm;
    reduce_settle(r); /* what a forward did not ask for */
    exchange_begin(comm, word, comm->nodes > 1 ? 0 : bytes);
    r->final = comm->sequence;
    sum_all(r);
    if (comm->nodes > 1) {
        exchange_figures(r, word, bytes, words);
    } else {
        reduce_meet_owners(r, OWNER_SUMMED);
        exchange_end(comm, word, bytes, words);
    }
    r->final = 0;
    r->step++;
    const double *squares = comm->nodes > 1 ? r->all_squares : r->squares;
    double total = 0;
    for (size_t c = 0; c < r->chunks; c++) total += squares[c];
    sum->sum_of_squares = total;
    sum->finite = isfinite(total);
}
