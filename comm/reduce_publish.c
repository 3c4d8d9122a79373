/* SPDX-License-Identifier: MIT
 *
 * reduce_publish.c: new parameters between nodes. An owner sends each bucket as it is written; one rank of
 * every other node takes it straight into the node's memory and says so to its neighbours. Forward waits
 * for one bucket after the other, and for none that has come meanwhile. Rows that an update leaves as they are do not
 * travel: the others are packed into memory beside the parameters, and unpacked from there. */
#include "comm/arena.h"
#include "comm/reduce_wire.h"
#include "comm/trace.h"

/* ---- what has come ------------------------------------------------------------------------------------------ */

static _Atomic uint64_t *here(const Reduce *r, size_t bucket, size_t owner) {
    return &r->here[bucket * r->comm->size + owner];
}

static void say_here(const Reduce *r, size_t bucket, size_t owner) {
    atomic_store_explicit(here(r, bucket, owner), r->wire->publication, memory_order_release);
}

static void take_parameters(Reduce *r, const Parcel *p) {
    size_t first, end;
    parcel_floats(r, p, &first, &end);
    if (p->bytes < parcel_bytes(r, p)) touched_unpack(r->wire->kept, first, end, p->stage, r->params + first);
    say_here(r, p->bucket, p->peer);
}

/* For whose part of the bucket we wait: the owner, or who takes it for my node; `size` if all is here. */
static size_t bucket_missing(const Reduce *r, size_t bucket) {
    const Comm *comm = r->comm;
    uint64_t now = r->wire->publication;
    if (r->wire->known[bucket] == now) return comm->size;
    for (size_t owner = 0; owner < comm->size; owner++) {
        size_t first, end;
        share_of(r, bucket, owner, &first, &end);
        if (first == end || atomic_load_explicit(here(r, bucket, owner), memory_order_acquire) == now) continue;
        if (comm->node_of[owner] == comm->node) return owner;
        size_t by = publish_taker(comm, comm->node, owner);
        return by == comm->rank ? owner : by;
    }
    r->wire->known[bucket] = now;
    return comm->size;
}

/* ---- under way ------------------------------------------------------------------------------------------------- */

static void place_stages(const Reduce *r, ParcelList *list, float **at) {
    for (size_t i = 0; i < list->count; i++) {
        Parcel *p = &list->parcel[i];
        /* The same to every node. */
        bool again = list == &r->wire->publish_sends && i > 0 && p[-1].bucket == p->bucket;
        p->stage = again ? p[-1].stage : *at;
        if (!again) *at += parcel_bytes(r, p) / sizeof **at;
    }
}

Status reduce_stage(Reduce *r) {
    Wire *wire = r->wire;
    size_t floats = r->owned;
    if (!wire) return OK;
    for (size_t i = 0; i < wire->publish_receives.count; i++)
        floats += parcel_bytes(r, &wire->publish_receives.parcel[i]) / sizeof(float);
    wire->stage_bytes = (floats + 1) * sizeof(float);
    wire->stage = pages_alloc(wire->stage_bytes);
    Status status = wire->stage ? OK
                                : status_fail(ERR_USAGE,
                                              "memory: %zu bytes for rows on their way to other nodes are "
                                              "not there; use more ranks or a smaller model",
                                              wire->stage_bytes);
    TRY(comm_agree(r->comm, status));
    float *at = wire->stage;
    place_stages(r, &wire->publish_sends, &at);
    place_stages(r, &wire->publish_receives, &at);
    return OK;
}

static size_t sent_bytes(const Reduce *r, const Parcel *p) {
    size_t first, end;
    parcel_floats(r, p, &first, &end);
    return r->wire->stage ? touched_floats(r->wire->kept, first, end) * sizeof(float) : parcel_bytes(r, p);
}

/* Where a message's bytes stand. */
static float *message_of(const Reduce *r, const Parcel *p) {
    return p->bytes < parcel_bytes(r, p) ? p->stage : r->params + p->first * REDUCE_CHUNK;
}

static void receive_parameters(Reduce *r, Parcel *p) {
    p->begun = trace_time();
    p->bytes = sent_bytes(r, p);
    if (p->bytes > 0) {
        r->comm->transport->receive(&p->request, p->peer, TAG_PUBLISH, message_of(r, p), p->bytes);
        return;
    }
    r->wire->publish_receives.open--;
    take_parameters(r, p);
}

static void send_parameters(Reduce *r, Parcel *p) {
    size_t first, end;
    parcel_floats(r, p, &first, &end);
    p->begun = trace_time();
    p->bytes = sent_bytes(r, p);
    bool again = p > r->wire->publish_sends.parcel && p[-1].bucket == p->bucket; /* may be under way */
    if (message_of(r, p) == p->stage && !again) touched_pack(r->wire->kept, first, end, r->params + first, p->stage);
    if (p->bytes > 0) r->comm->transport->send(&p->request, p->peer, TAG_PUBLISH, message_of(r, p), p->bytes);
    else r->wire->publish_sends.open--;
}

static void publish_begin(Reduce *r) {
    Wire *wire = r->wire;
    wire->publication++;
    wire->under_way = true;
    wire->publish_began = wait_clock();
    wire->waited = 0;
    wire->written = 0;
    wire->kept = r->kept;
    parcels_reset(&wire->publish_sends);
    parcels_reset(&wire->publish_receives);
    for (size_t i = 0; i < wire->publish_receives.count; i++) receive_parameters(r, &wire->publish_receives.parcel[i]);
    wire->publish_receives.started = wire->publish_receives.count;
}

/* Messages to each node that are under way at a time: all at once would share the network, and the first bucket,
 * which a forward waits for, would come no sooner than the last. */
enum { SENT_AT_ONCE = 2 };

static void send_written(Reduce *r) {
    ParcelList *sends = &r->wire->publish_sends;
    for (; sends->started < sends->count; sends->started++) {
        size_t done = sends->count - sends->open;
        Parcel *p = &sends->parcel[sends->started];
        if (r->place[p->bucket + 1] > r->wire->written) break;
        if (sends->started - done >= SENT_AT_ONCE * (r->comm->nodes - 1)) break;
        send_parameters(r, p);
    }
}

void reduce_written(Reduce *r, size_t chunks) {
    Wire *wire = r->wire;
    if (!wire) return;
    if (!wire->under_way) publish_begin(r);
    wire->written = chunks;
    for (size_t b = 0; b < r->buckets && r->place[b + 1] <= chunks; b++)
        if (r->place[b] < r->place[b + 1]) say_here(r, b, r->comm->rank);
    send_written(r);
}

static void book_hidden(Reduce *r) {
    const Wire *wire = r->wire;
    uint64_t taken = wait_clock() - wire->publish_began;
    if (taken > wire->waited) r->times.hidden[REDUCE_PARAMETERS] += 1e-9 * (double)(taken - wire->waited);
}

bool publish_move(Reduce *r) {
    Wire *wire = r->wire;
    if (!wire || !wire->under_way) return false;
    bool moved = parcels_move(r, &wire->publish_receives, take_parameters);
    moved |= parcels_move(r, &wire->publish_sends, NULL);
    send_written(r);
    if (wire->publish_receives.open == 0 && wire->publish_sends.open == 0) {
        wire->under_way = false;
        book_hidden(r);
    }
    return moved;
}

/* ---- waiting ----------------------------------------------------------------------------------------------------- */

static size_t list_missing(const ParcelList *list, size_t none) {
    for (size_t i = list->settled; i < list->started; i++)
        if (list->parcel[i].request.pending) return list->parcel[i].peer;
    return none;
}

/* The time since `began` was a wait for parameters; before publish_move, which may book the rest as hidden. */
static void book_wait(Reduce *r, uint64_t *began) {
    uint64_t now = wait_clock();
    r->times.exposed[REDUCE_PARAMETERS] += 1e-9 * (double)(now - *began);
    r->wire->waited += now - *began;
    *began = now;
}

void reduce_need(Reduce *r, size_t offset, size_t count) {
    Wire *wire = r->wire;
    if (!wire || wire->publication == 0 || count == 0) return;
    size_t end = (offset + count - 1) / REDUCE_CHUNK / r->bucket_chunks;
    Wait wait = {0};
    uint64_t began = 0;
    double traced = 0;
    for (size_t b = offset / REDUCE_CHUNK / r->bucket_chunks; b <= end; b++) {
        size_t missing;
        while ((missing = bucket_missing(r, b)) < r->comm->size) {
            if (began == 0) {
                began = wait_clock();
                traced = trace_time();
            }
            book_wait(r, &began);
            if (publish_move(r)) wait_over(r->comm, &wait);
            else wait_turn(r->comm, &wait, missing);
        }
    }
    wait_over(r->comm, &wait);
    if (began == 0) return;
    book_wait(r, &began);
    trace_span(TRACE_STEP, "wait for parameters", traced, (int64_t)r->comm->step, 0);
}

void reduce_settle(Reduce *r) {
    Wire *wire = r->wire;
    if (!wire) return;
    reduce_need(r, 0, r->count);
    if (!wire->under_way) return;
    Wait wait = {0};
    uint64_t began = wait_clock();
    double traced = trace_time();
    while (wire->under_way) {
        book_wait(r, &began);
        size_t missing = list_missing(&wire->publish_sends, r->comm->rank);
        missing = list_missing(&wire->publish_receives, missing);
        if (publish_move(r)) wait_over(r->comm, &wait);
        else wait_turn(r->comm, &wait, missing);
    }
    wait_over(r->comm, &wait);
    book_wait(r, &began);
    trace_span(TRACE_STEP, "wait for parameters", traced, (int64_t)r->comm->step, 0);
}

void reduce_publish(Reduce *r) {
    if (!r->wire) {
        reduce_meet_owners(r, OWNER_WRITTEN);
        return;
    }
    reduce_written(r, r->mine);
    if (r->overlap) return;
    reduce_settle(r);
    comm_node_barrier(r->comm);
}
