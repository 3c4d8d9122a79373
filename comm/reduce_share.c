/* SPDX-License-Identifier: MIT
 *
 * reduce_share.c: who owns what. Every bucket is cut among all ranks, so that each has as much to send,
 * to receive and to sum of it as the others, whichever part of the model it holds. What owners keep
 * privately for their chunks is brought together and dealt out through gradient memory. */
#include <stdlib.h>
#include <string.h>

#include "comm/reduce_private.h"

/* A rank's share of a bucket: 512 KiB to 4 MiB, as many buckets as leave it so much, about 16: what is exchanged of the
 * first bucket, or of the last, hides behind nothing. */
enum { SHARE_LEAST = 8, SHARE_MOST = 64, BUCKETS_WANTED = 16 };

static size_t chunks_of_bucket(size_t chunks, size_t ranks) {
    size_t share = chunks / BUCKETS_WANTED / ranks;
    return (share < SHARE_LEAST ? SHARE_LEAST : share > SHARE_MOST ? SHARE_MOST : share) * ranks;
}

size_t reduce_bucket_floats(size_t count, size_t ranks) {
    return chunks_of_bucket((count + REDUCE_CHUNK - 1) / REDUCE_CHUNK, ranks) * REDUCE_CHUNK;
}

size_t reduce_chunk_floats(const Reduce *r, size_t first, size_t end) {
    size_t from = first * REDUCE_CHUNK, to = end * REDUCE_CHUNK;
    if (to > r->count) to = r->count;
    return to > from ? to - from : 0;
}

void share_of(const Reduce *r, size_t bucket, size_t rank, size_t *first, size_t *end) {
    size_t start = bucket * r->bucket_chunks, stop = start + r->bucket_chunks;
    if (stop > r->chunks) stop = r->chunks;
    fold_range(stop - start, r->comm->size, rank, first, end);
    *first += start;
    *end += start;
}

static size_t share_count(const Reduce *r, size_t rank) {
    size_t count = 0;
    for (size_t b = 0; b < r->buckets; b++) {
        size_t first, end;
        share_of(r, b, rank, &first, &end);
        count += end - first;
    }
    return count;
}

size_t share_most(const Reduce *r) {
    size_t most = 0;
    for (size_t rank = 0; rank < r->comm->size; rank++) {
        size_t count = share_count(r, rank);
        if (count > most) most = count;
    }
    return most;
}

bool share_plan(Reduce *r) {
    r->bucket_chunks = chunks_of_bucket(r->chunks, r->comm->size);
    r->buckets = (r->chunks + r->bucket_chunks - 1) / r->bucket_chunks;
    r->chunk = calloc(share_count(r, r->comm->rank) + 1, sizeof *r->chunk);
    r->place = calloc(r->buckets + 1, sizeof *r->place);
    r->owns = calloc(r->comm->node_size, sizeof *r->owns);
    if (!r->chunk || !r->place || !r->owns) return false;
    for (size_t i = 0; i < r->comm->node_size; i++)
        r->owns[i] = share_count(r, r->comm->order[r->comm->node_start[r->comm->node] + i]) > 0;
    for (size_t b = 0; b < r->buckets; b++) {
        size_t first, end;
        share_of(r, b, r->comm->rank, &first, &end);
        r->place[b] = r->mine;
        for (size_t c = first; c < end; c++) {
            size_t count = reduce_chunk_floats(r, c, c + 1);
            r->chunk[r->mine++] = (ReduceChunk){.offset = c * REDUCE_CHUNK, .count = count, .at = r->owned};
            r->owned += count;
        }
    }
    r->place[r->buckets] = r->mine;
    return true;
}

void share_release(Reduce *r) {
    free(r->chunk);
    free(r->place);
    free(r->owns);
}

const ReduceChunk *reduce_chunks(const Reduce *r, size_t *chunks) {
    *chunks = r->mine;
    return r->chunk;
}

size_t reduce_owned(const Reduce *r) {
    return r->owned;
}

bool reduce_chunk_of(const Reduce *r, size_t owner, size_t i, ReduceChunk *out) {
    size_t before = 0;
    for (size_t b = 0; b < r->buckets; b++) {
        size_t first, end;
        share_of(r, b, owner, &first, &end);
        if (i < end - first) {
            *out = (ReduceChunk){.offset = (first + i) * REDUCE_CHUNK,
                                 .count = reduce_chunk_floats(r, first + i, first + i + 1),
                                 .at = before + i * REDUCE_CHUNK};
            return true;
        }
        i -= end - first;
        before += (end - first) * REDUCE_CHUNK;
    }
    return false;
}

size_t reduce_bucket_end(const Reduce *r, size_t first) {
    return r->place[r->chunk[first].offset / REDUCE_CHUNK / r->bucket_chunks + 1];
}

const float *reduce_summed(const Reduce *r) {
    return r->result;
}

/* ---- what owners keep ------------------------------------------------------------------------------------ */

/* The gradient memory of a rank of my node, by flat offset; NULL for ranks of other nodes. */
static float *stage_of(const Reduce *r, size_t rank) {
    const Comm *comm = r->comm;
    if (comm->node_of[rank] != comm->node) return NULL;
    return r->own_inputs[r->first_block[comm->position[rank] - comm->node_start[comm->node]]].data;
}

typedef enum Direction { COLLECT, DISTRIBUTE } Direction;

/* Between the whole block on root and the rank's chunks: through memory where it stands beside root, else by
 * one message for each bucket. */
static void root_moves(Reduce *r, size_t rank, float *whole, Direction direction) {
    float *stage = stage_of(r, rank);
    for (size_t b = 0; b < r->buckets; b++) {
        size_t first, end;
        share_of(r, b, rank, &first, &end);
        size_t offset = first * REDUCE_CHUNK, bytes = reduce_chunk_floats(r, first, end) * sizeof(float);
        if (bytes == 0) continue;
        if (stage) {
            if (direction == COLLECT) memcpy(whole + offset, stage + offset, bytes);
            else memcpy(stage + offset, whole + offset, bytes);
        } else if (direction == COLLECT) {
            comm_receive(r->comm, rank, whole + offset, bytes);
        } else {
            comm_send(r->comm, rank, whole + offset, bytes);
        }
    }
}

static void owner_messages(Reduce *r, size_t root, float *mine, Direction direction) {
    for (size_t b = 0; b < r->buckets; b++) {
        size_t first, end;
        share_of(r, b, r->comm->rank, &first, &end);
        size_t bytes = reduce_chunk_floats(r, first, end) * sizeof(float);
        if (bytes == 0) continue;
        float *at = mine + r->chunk[r->place[b]].at;
        if (direction == COLLECT) comm_send(r->comm, root, at, bytes);
        else comm_receive(r->comm, root, at, bytes);
    }
}

void reduce_collect(Reduce *r, size_t root, const float *mine, float *out) {
    Comm *comm = r->comm;
    bool beside = comm->node_of[root] == comm->node;
    float *stage = stage_of(r, comm->rank);
    for (size_t i = 0; i < r->mine && beside; i++)
        memcpy(stage + r->chunk[i].offset, mine + r->chunk[i].at, r->chunk[i].count * sizeof(float));
    if (!beside) owner_messages(r, root, (float *)(uintptr_t)mine, COLLECT);
    comm_node_barrier(comm);
    for (size_t rank = 0; rank < comm->size && comm->rank == root; rank++) root_moves(r, rank, out, COLLECT);
    comm_node_barrier(comm);
}

void reduce_distribute(Reduce *r, size_t root, const float *in, float *mine) {
    Comm *comm = r->comm;
    float *stage = stage_of(r, comm->rank), *whole = (float *)(uintptr_t)in;
    for (size_t rank = 0; rank < comm->size && comm->rank == root; rank++) root_moves(r, rank, whole, DISTRIBUTE);
    comm_node_barrier(comm);
    bool beside = comm->node_of[root] == comm->node;
    for (size_t i = 0; i < r->mine && beside; i++)
        memcpy(mine + r->chunk[i].at, stage + r->chunk[i].offset, r->chunk[i].count * sizeof(float));
    if (!beside) owner_messages(r, root, mine, DISTRIBUTE);
    comm_node_barrier(comm);
}
