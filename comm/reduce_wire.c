/* SPDX-License-Identifier: MIT
 *
 * reduce_wire.c: the reduction between nodes. A node's segments are the largest nodes of the tree that
 * its ranks own together; of a slice owned elsewhere the ranks of a node fold and send one part each,
 * straight from gradient memory. Everything is posted without waiting, so a slow pair of nodes delays
 * nobody else. New parameters go to one rank of every other node and from the message into its memory. */
#include <stdlib.h>

#include "comm/arena.h"
#include "comm/reduce_private.h"

enum { PIECE_CHUNKS = 32 }; /* 2 MiB: long enough for bandwidth, short enough to overlap */

/* Whole chunks that travel to or from one rank. */
typedef struct Parcel {
    size_t peer, first, end;
    size_t group; /* sent: the segment of my node; received: the input of my tree */
    Request request;
} Parcel;

typedef struct ParcelList {
    Parcel *parcel;
    size_t count, room;
    bool failed;
} ParcelList;

/* A segment of my node and how it is folded, into its first input's block. */
typedef struct Group {
    TreeInput *inputs;
    Tree tree;
} Group;

struct Wire {
    Group *group;
    size_t groups;
    ParcelList sends; /* pieces in order; of one piece all groups in a row */
    size_t sent;      /* folded and under way so far in this step */
    size_t unsettled; /* the first send that may still be under way */
    ParcelList receives;
    size_t outstanding; /* receives */
    size_t *arrived;    /* [my chunks] parcels that are here */
    float *buffer;      /* [received][my slice] */
    size_t buffer_bytes;
    ParcelList publish_sends, publish_receives;
};

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

/* The chunks [first, end) in pieces, each once per group. */
static void add_pieces(ParcelList *list, size_t peer, size_t first, size_t end, size_t first_group, size_t groups) {
    for (size_t at = first; at < end; at += PIECE_CHUNKS) {
        size_t stop = end - at < PIECE_CHUNKS ? end : at + PIECE_CHUNKS;
        for (size_t g = 0; g < groups; g++) {
            add_parcel(list, (Parcel){.peer = peer, .first = at, .end = stop, .group = first_group + g});
        }
    }
}

/* The part of owner's slice that the i-th of n ranks of another node folds. */
static void part_of_slice(const Reduce *r, size_t owner, size_t n, size_t i, size_t *first, size_t *end) {
    size_t start, stop;
    fold_range(r->chunks, r->comm->size, owner, &start, &stop);
    fold_range(stop - start, n, i, first, end);
    *first += start;
    *end += start;
}

static void plan_sends(Reduce *r) {
    const Comm *comm = r->comm;
    for (size_t k = 1; k < comm->size; k++) {
        size_t owner = (comm->rank + k) % comm->size, first, end; /* not all to the same one first */
        if (comm->node_of[owner] == comm->node) continue;
        part_of_slice(r, owner, comm->node_size, comm->node_rank, &first, &end);
        add_pieces(&r->wire->sends, owner, first, end, 0, r->wire->groups);
    }
}

static size_t size_of_node(const Comm *comm, size_t node) {
    return comm->node_start[node + 1] - comm->node_start[node];
}

static void plan_receives(Reduce *r) {
    const Comm *comm = r->comm;
    size_t input = r->first_block[comm->node_size];
    for (size_t n = 0; n < comm->nodes; n++) {
        if (n == comm->node) continue;
        size_t groups = node_segments(r, n, NULL), size = size_of_node(comm, n);
        for (size_t i = 0; i < size; i++) {
            size_t first, end;
            part_of_slice(r, comm->rank, size, i, &first, &end);
            add_pieces(&r->wire->receives, comm->order[comm->node_start[n] + i], first, end, input, groups);
        }
        input += groups;
    }
}

/* The rank of a node that takes the owner's new parameters for it. */
static size_t taker(const Comm *comm, size_t node, size_t owner) {
    return comm->order[comm->node_start[node] + owner % size_of_node(comm, node)];
}

static void plan_publish(Reduce *r) {
    const Comm *comm = r->comm;
    for (size_t n = 0; n < comm->nodes; n++) {
        if (n == comm->node) continue;
        add_pieces(&r->wire->publish_sends, taker(comm, n, comm->rank), r->first_chunk, r->end_chunk, 0, 1);
    }
    for (size_t owner = 0; owner < comm->size; owner++) {
        size_t first, end;
        if (comm->node_of[owner] == comm->node || taker(comm, comm->node, owner) != comm->rank) continue;
        fold_range(r->chunks, comm->size, owner, &first, &end);
        add_pieces(&r->wire->publish_receives, owner, first, end, 0, 1);
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

/* Where the others' parts of my slice arrive. */
static bool plan_buffer(Reduce *r) {
    Wire *wire = r->wire;
    size_t slice = reduce_chunk_floats(r, r->first_chunk, r->end_chunk), input = r->first_block[r->comm->node_size];
    wire->arrived = calloc(r->end_chunk - r->first_chunk + 1, sizeof *wire->arrived);
    if (!wire->arrived || !size_multiply3(r->received, slice, sizeof(float), &wire->buffer_bytes)) return false;
    wire->buffer = pages_alloc(wire->buffer_bytes);
    if (!wire->buffer) return false;
    for (size_t n = 0; n < r->comm->nodes; n++) {
        if (n == r->comm->node) continue;
        size_t count = node_segments(r, n, NULL);
        FoldNode *segments = calloc(count + 1, sizeof *segments);
        if (!segments) return false;
        node_segments(r, n, segments);
        for (size_t s = 0; s < count; s++, input++) {
            float *data = wire->buffer + (input - r->first_block[r->comm->node_size]) * slice;
            r->own_inputs[input] =
                (TreeInput){.node = segments[s], .data = data, .origin = r->first_chunk * REDUCE_CHUNK};
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
    pages_free(wire->buffer, wire->buffer_bytes);
    free(wire);
    r->wire = NULL;
}

/* ---- phase one ------------------------------------------------------------------------------------------ */

static size_t parcel_bytes(const Reduce *r, const Parcel *parcel) {
    return reduce_chunk_floats(r, parcel->first, parcel->end) * sizeof(float);
}

bool wire_begin(Reduce *r) {
    Wire *wire = r->wire;
    if (!wire) return false;
    for (size_t i = 0; i < wire->receives.count; i++) {
        Parcel *p = &wire->receives.parcel[i];
        const TreeInput *to = &r->own_inputs[p->group];
        r->comm->transport->receive(&p->request, p->peer, TAG_REDUCE, to->data + (p->first * REDUCE_CHUNK - to->origin),
                                    parcel_bytes(r, p));
    }
    for (size_t c = 0; c < r->end_chunk - r->first_chunk; c++) wire->arrived[c] = 0;
    wire->outstanding = wire->receives.count;
    wire->sent = wire->unsettled = 0;
    return wire->receives.count + wire->sends.count > 0;
}

static bool settle(Reduce *r, Parcel *p) {
    Progress progress = r->comm->transport->test(&p->request);
    if (progress == PROGRESS_BROKEN) wait_lost(r->comm, p->peer, "its connection broke");
    return progress == PROGRESS_DONE;
}

static bool take_arrivals(Reduce *r) {
    Wire *wire = r->wire;
    bool moved = false;
    for (size_t i = 0; i < wire->receives.count && wire->outstanding > 0; i++) {
        Parcel *p = &wire->receives.parcel[i];
        if (!p->request.pending || !settle(r, p)) continue;
        for (size_t c = p->first; c < p->end; c++) wire->arrived[c - r->first_chunk]++;
        wire->outstanding--;
        moved = true;
    }
    return moved;
}

/* Folds a group over the parcel's chunks and sends it. */
static void send_parcel(Reduce *r, Parcel *p) {
    const Group *group = &r->wire->group[p->group];
    float *out = group->inputs[0].data;
    if (group->tree.steps > 0) {
#pragma omp parallel for schedule(static)
        for (size_t c = p->first; c < p->end; c++) {
            size_t offset = c * REDUCE_CHUNK;
            tree_run(&group->tree, group->inputs, offset, reduce_chunk_floats(r, c, c + 1), out + offset);
        }
    }
    r->comm->transport->send(&p->request, p->peer, TAG_REDUCE, out + p->first * REDUCE_CHUNK, parcel_bytes(r, p));
}

/* Sends the next piece that my whole node has written. Pieces to one rank must keep their order. */
static bool send_next(Reduce *r) {
    Wire *wire = r->wire;
    if (wire->sent == wire->sends.count) return false;
    const Parcel *next = &wire->sends.parcel[wire->sent];
    if (!reduce_node_ready(r, next->first, next->end)) return false;
    for (size_t g = 0; g < wire->groups; g++) send_parcel(r, &wire->sends.parcel[wire->sent++]);
    return true;
}

bool wire_move(Reduce *r) {
    Wire *wire = r->wire;
    bool moved = take_arrivals(r);
    moved |= send_next(r);
    while (wire->unsettled < wire->sent && settle(r, &wire->sends.parcel[wire->unsettled])) {
        wire->unsettled++;
        moved = true;
    }
    return moved;
}

bool wire_is_done(const Reduce *r) {
    return r->wire->outstanding == 0 && r->wire->unsettled == r->wire->sends.count;
}

bool wire_has_received(const Reduce *r, size_t chunk) {
    return !r->wire || r->wire->arrived[chunk - r->first_chunk] == r->received;
}

size_t wire_missing(const Reduce *r) {
    const Wire *wire = r->wire;
    if (!wire) return r->comm->rank;
    for (size_t i = 0; i < wire->receives.count; i++) {
        if (wire->receives.parcel[i].request.pending) return wire->receives.parcel[i].peer;
    }
    return wire->unsettled < wire->sent ? wire->sends.parcel[wire->unsettled].peer : r->comm->rank;
}

/* ---- phase two ------------------------------------------------------------------------------------------- */

void wire_publish(Reduce *r) {
    Wire *wire = r->wire;
    if (!wire) return;
    const Transport *transport = r->comm->transport;
    for (size_t i = 0; i < wire->publish_receives.count; i++) {
        Parcel *p = &wire->publish_receives.parcel[i];
        transport->receive(&p->request, p->peer, TAG_PUBLISH, r->params + p->first * REDUCE_CHUNK, parcel_bytes(r, p));
    }
    for (size_t i = 0; i < wire->publish_sends.count; i++) {
        Parcel *p = &wire->publish_sends.parcel[i];
        transport->send(&p->request, p->peer, TAG_PUBLISH, r->params + p->first * REDUCE_CHUNK, parcel_bytes(r, p));
    }
    for (size_t i = 0; i < wire->publish_receives.count; i++) {
        wait_request(r->comm, &wire->publish_receives.parcel[i].request, wire->publish_receives.parcel[i].peer);
    }
    for (size_t i = 0; i < wire->publish_sends.count; i++) {
        wait_request(r->comm, &wire->publish_sends.parcel[i].request, wire->publish_sends.parcel[i].peer);
    }
}
