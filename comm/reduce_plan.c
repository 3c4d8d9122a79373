/* SPDX-License-Identifier: MIT
 *
 * reduce_plan.c: which messages go between nodes. A node's segments are the largest nodes of the tree that
 * its ranks own together; of what is owned elsewhere the ranks of a node fold and send one part each,
 * straight from gradient memory. New parameters go to one rank of every other node and from the message
 * into its memory. */
#include <stdlib.h>

#include "comm/arena.h"
#include "comm/reduce_wire.h"

/* ---- segments of a node ----------------------------------------------------------------------------- */

typedef struct Cover {
    const Reduce *reduce;
    size_t node;
    FoldNode *out; /* NULL: only count */
    size_t count;
} Cover;

/* Shards of `at` that the ranks of the node own, and that exist. */
static void count_shards(const Cover *cover, FoldNode at, size_t *owned, size_t *present) {
    const Reduce *r = cover->reduce;
    const Comm *comm = r->comm;
    size_t end = at.first + ((size_t)1 << at.level);
    if (end > r->shards) end = r->shards;
    *owned = 0;
    *present = end > at.first ? end - at.first : 0;
    for (size_t i = comm->node_start[cover->node]; i < comm->node_start[cover->node + 1]; i++) {
        size_t first, last;
        fold_range(r->shards, comm->size, comm->order[i], &first, &last);
        if (first < at.first) first = at.first;
        if (last > end) last = end;
        if (last > first) *owned += last - first;
    }
}

static void find_segments(Cover *cover, FoldNode at) {
    size_t owned, present;
    count_shards(cover, at, &owned, &present);
    if (owned == 0) return;
    if (owned == present) {
        if (cover->out) cover->out[cover->count] = at;
        cover->count++;
        return;
    }
    size_t half = (size_t)1 << (at.level - 1);
    find_segments(cover, (FoldNode){.first = at.first, .level = at.level - 1});
    find_segments(cover, (FoldNode){.first = at.first + half, .level = at.level - 1});
}

static size_t node_segments(const Reduce *r, size_t node, FoldNode *out) {
    Cover cover = {.reduce = r, .node = node, .out = out};
    find_segments(&cover, fold_root(r->shards));
    return cover.count;
}

size_t wire_count_received(const Reduce *r) {
    size_t count = 0;
    for (size_t n = 0; n < r->comm->nodes; n++) {
        if (n != r->comm->node) count += node_segments(r, n, NULL);
    }
    return count;
}

/* ---- the plan ---------------------------------------------------------------------------------------- */

static void add_parcel(ParcelList *list, Parcel parcel) {
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 64;
        Parcel *grown = realloc(list->parcel, room * sizeof *grown);
        if (!grown) {
            list->failed = true;
            return;
        }
        list->parcel = grown;
        list->room = room;
    }
    list->parcel[list->count++] = parcel;
}

/* The part of owner's share of a bucket that the i-th of n ranks of another node folds. */
static void part_of_share(const Reduce *r, size_t bucket, size_t owner, size_t n, size_t i, size_t *first,
                          size_t *end) {
    size_t start, stop;
    share_of(r, bucket, owner, &start, &stop);
    fold_range(stop - start, n, i, first, end);
    *first += start;
    *end += start;
}

static void plan_sends(Reduce *r) {
    const Comm *comm = r->comm;
    for (size_t b = r->buckets; b-- > 0;) {
        for (size_t k = 1; k < comm->size; k++) {
            size_t owner = (comm->rank + k) % comm->size, first, end; /* not all to the same one first */
            if (comm->node_of[owner] == comm->node) continue;
            part_of_share(r, b, owner, comm->node_size, comm->node_rank, &first, &end);
            for (size_t g = 0; g < r->wire->groups && first < end; g++)
                add_parcel(&r->wire->sends,
                           (Parcel){.peer = owner, .first = first, .end = end, .group = g, .bucket = b});
        }
    }
}

static size_t size_of_node(const Comm *comm, size_t node) {
    return comm->node_start[node + 1] - comm->node_start[node];
}

/* What one node sends me of a bucket; its segments are my inputs from `input` on. */
static void plan_receives_from(Reduce *r, size_t bucket, size_t node, size_t input, size_t groups) {
    const Comm *comm = r->comm;
    size_t size = size_of_node(comm, node);
    for (size_t i = 0; i < size; i++) {
        size_t first, end, peer = comm->order[comm->node_start[node] + i];
        part_of_share(r, bucket, comm->rank, size, i, &first, &end);
        for (size_t g = 0; g < groups && first < end; g++)
            add_parcel(&r->wire->receives,
                       (Parcel){.peer = peer, .first = first, .end = end, .group = input + g, .bucket = bucket});
    }
}

static void plan_receives(Reduce *r) {
    const Comm *comm = r->comm;
    for (size_t b = r->buckets; b-- > 0;) {
        size_t input = r->first_block[comm->node_size];
        for (size_t n = 0; n < comm->nodes; n++) {
            if (n == comm->node) continue;
            size_t groups = node_segments(r, n, NULL);
            plan_receives_from(r, b, n, input, groups);
            input += groups;
        }
    }
}

size_t publish_taker(const Comm *comm, size_t node, size_t owner) {
    return comm->order[comm->node_start[node] + owner % size_of_node(comm, node)];
}

static void plan_publish(Reduce *r) {
    const Comm *comm = r->comm;
    size_t first, end;
    for (size_t b = 0; b < r->buckets; b++) {
        share_of(r, b, comm->rank, &first, &end);
        for (size_t n = 0; n < comm->nodes && first < end; n++) {
            if (n == comm->node) continue;
            add_parcel(&r->wire->publish_sends,
                       (Parcel){.peer = publish_taker(comm, n, comm->rank), .first = first, .end = end, .bucket = b});
        }
        for (size_t owner = 0; owner < comm->size; owner++) {
            if (comm->node_of[owner] == comm->node || publish_taker(comm, comm->node, owner) != comm->rank) continue;
            share_of(r, b, owner, &first, &end);
            if (first < end)
                add_parcel(&r->wire->publish_receives,
                           (Parcel){.peer = owner, .first = first, .end = end, .bucket = b});
        }
    }
}

/* My node's segments, each with the blocks it is made of. */
static bool plan_groups(Reduce *r) {
    Wire *wire = r->wire;
    size_t blocks = r->first_block[r->comm->node_size];
    FoldNode *segments = calloc(blocks, sizeof *segments);
    wire->groups = node_segments(r, r->comm->node, NULL);
    wire->group = calloc(wire->groups, sizeof *wire->group);
    bool ok = segments && wire->group && wire->groups <= blocks;
    if (ok) node_segments(r, r->comm->node, segments);
    for (size_t g = 0; g < wire->groups && ok; g++) {
        size_t count = 0, end = segments[g].first + ((size_t)1 << segments[g].level);
        Group *group = &wire->group[g];
        group->inputs = calloc(blocks, sizeof *group->inputs);
        for (size_t b = 0; b < blocks && group->inputs; b++) {
            size_t first = r->own_inputs[b].node.first;
            if (first >= segments[g].first && first < end) group->inputs[count++] = r->own_inputs[b];
        }
        ok = group->inputs && tree_compile(&group->tree, r->shards, segments[g], group->inputs, count);
    }
    free(segments);
    return ok;
}

/* Where the others' parts of my chunks arrive. */
static bool plan_buffer(Reduce *r) {
    Wire *wire = r->wire;
    size_t input = r->first_block[r->comm->node_size];
    wire->arrived = calloc(r->mine + 1, sizeof *wire->arrived);
    wire->known = calloc(r->buckets + 1, sizeof *wire->known);
    if (!wire->arrived || !wire->known) return false;
    if (!size_multiply3(r->received, r->owned, sizeof(float), &wire->buffer_bytes)) return false;
    wire->buffer = pages_alloc(wire->buffer_bytes);
    if (!wire->buffer) return false;
    for (size_t n = 0; n < r->comm->nodes; n++) {
        if (n == r->comm->node) continue;
        size_t count = node_segments(r, n, NULL);
        FoldNode *segments = calloc(count + 1, sizeof *segments);
        if (!segments) return false;
        node_segments(r, n, segments);
        for (size_t s = 0; s < count; s++, input++) {
            float *data = wire->buffer + (input - r->first_block[r->comm->node_size]) * r->owned;
            r->own_inputs[input] = (TreeInput){.node = segments[s], .data = data, .owned = true};
        }
        free(segments);
    }
    return true;
}

Status wire_create(Reduce *r) {
    if (r->comm->nodes == 1) return OK;
    static const char short_of[] =
        "memory for messages between nodes: not available; make the model smaller or use more nodes";
    r->wire = calloc(1, sizeof *r->wire);
    if (!r->wire || !plan_groups(r) || !plan_buffer(r)) return status_fail(ERR_USAGE, short_of);
    plan_sends(r);
    plan_receives(r);
    plan_publish(r);
    r->wire->sends.what = "gradients to";
    r->wire->receives.what = "gradients from";
    r->wire->publish_sends.what = "parameters to";
    r->wire->publish_receives.what = "parameters from";
    bool failed = r->wire->sends.failed || r->wire->receives.failed || r->wire->publish_sends.failed ||
                  r->wire->publish_receives.failed;
    return failed ? status_fail(ERR_USAGE, short_of) : OK;
}

void wire_destroy(Reduce *r) {
    Wire *wire = r->wire;
    if (!wire) return;
    for (size_t g = 0; g < wire->groups && wire->group; g++) {
        free(wire->group[g].inputs);
        tree_release(&wire->group[g].tree);
    }
    free(wire->group);
    free(wire->sends.parcel);
    free(wire->receives.parcel);
    free(wire->publish_sends.parcel);
    free(wire->publish_receives.parcel);
    free(wire->arrived);
    free(wire->known);
    pages_free(wire->buffer, wire->buffer_bytes);
    if (wire->stage) pages_free(wire->stage, wire->stage_bytes);
    free(wire);
    r->wire = NULL;
}
