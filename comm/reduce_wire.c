/* SPDX-License-Identifier: MIT
 *
 * reduce_wire.c: gradients between nodes. Everything is posted without waiting, so a slow pair of nodes
 * delays nobody else; a message sets out as soon as my whole node has written what it holds. It holds only what is
 * touched, which both ends know; where that is nothing there is no message. */
#include "comm/reduce_wire.h"
#include "comm/region.h"
#include "comm/trace.h"

/* ---- lists of messages ----------------------------------------------------------------------------------- */

size_t parcel_bytes(const Reduce *r, const Parcel *parcel) {
    return reduce_chunk_floats(r, parcel->first, parcel->end) * sizeof(float);
}

void parcels_reset(ParcelList *list) {
    list->started = list->settled = 0;
    list->open = list->count;
}

bool parcels_move(Reduce *r, ParcelList *list, void (*done)(Reduce *reduce, const Parcel *parcel)) {
    Parcel *asked[TRANSPORT_SOME];
    Request *request[TRANSPORT_SOME];
    size_t count = 0, broken;
    for (size_t i = list->settled; i < list->started && count < TRANSPORT_SOME; i++) {
        if (!list->parcel[i].request.pending) continue;
        asked[count] = &list->parcel[i];
        request[count] = &asked[count]->request;
        count++;
    }
    if (count == 0) return false;
    Progress progress = r->comm->transport->test_some(request, count, &broken);
    if (progress == PROGRESS_BROKEN) wait_lost(r->comm, asked[broken]->peer, "its connection broke");
    bool moved = false;
    for (size_t i = 0; i < count; i++) {
        Parcel *p = asked[i];
        if (p->request.pending) continue;
        list->open--;
        moved = true;
        trace_span(TRACE_EXCHANGE, list->what, p->begun, (int64_t)p->peer, p->bytes);
        if (done) done(r, p);
    }
    while (list->settled < list->started && !list->parcel[list->settled].request.pending) list->settled++;
    return moved;
}

/* ---- gradients --------------------------------------------------------------------------------------------- */

/* Which of my chunks the parcel's first is. */
static size_t number_of(const Reduce *r, const Parcel *p) {
    return r->place[p->bucket] + (p->first - r->chunk[r->place[p->bucket]].offset / REDUCE_CHUNK);
}

void parcel_floats(const Reduce *r, const Parcel *p, size_t *first, size_t *end) {
    *first = p->first * REDUCE_CHUNK;
    *end = *first + reduce_chunk_floats(r, p->first, p->end);
}

static float *place_of(const Reduce *r, const Parcel *p) {
    return r->own_inputs[p->group].data + r->chunk[number_of(r, p)].at;
}

static void take_parcel(Reduce *r, const Parcel *p) {
    size_t number = number_of(r, p), first, end;
    parcel_floats(r, p, &first, &end);
    float *to = place_of(r, p);
    if (p->bytes < parcel_bytes(r, p))
        touched_unpack(r->touched, first, end, to + (end - first) - p->bytes / sizeof *to, to);
    for (size_t c = p->first; c < p->end; c++) r->wire->arrived[number + c - p->first]++;
}

/* Posts the receive, at the end of the parcel's place: from there it is unpacked. */
static void receive_parcel(Reduce *r, Parcel *p) {
    size_t first, end;
    parcel_floats(r, p, &first, &end);
    size_t floats = touched_floats(r->touched, first, end);
    p->bytes = floats * sizeof(float);
    p->begun = trace_time();
    if (floats > 0) {
        r->comm->transport->receive(&p->request, p->peer, TAG_REDUCE, place_of(r, p) + (end - first - floats),
                                    p->bytes);
        return;
    }
    r->wire->receives.open--;
    take_parcel(r, p);
}

void wire_begin(Reduce *r) {
    Wire *wire = r->wire;
    parcels_reset(&wire->receives);
    parcels_reset(&wire->sends);
    for (size_t i = 0; i < r->mine; i++) wire->arrived[i] = 0;
    for (size_t i = 0; i < wire->receives.count; i++) receive_parcel(r, &wire->receives.parcel[i]);
    wire->receives.started = wire->receives.count;
    wire->first_sent = wire->finished = 0;
}

/* Folds a group over the parcel's chunks and sends it, packed where it stands: nobody else reads it. */
static void send_parcel(Reduce *r, Parcel *p) {
    const Group *group = &r->wire->group[p->group];
    float *out = group->inputs[0].data;
    if (group->tree.steps > 0) {
        PARALLEL(r->comm->threads, p->end - p->first) {
#pragma omp for schedule(static) nowait
            for (size_t c = p->first; c < p->end; c++) {
                size_t offset = c * REDUCE_CHUNK, end = offset + reduce_chunk_floats(r, c, c + 1);
                EACH_TOUCHED(run, r->touched, offset, end)
                tree_run(&group->tree, group->inputs, run.first, 0, run.end - run.first, out + run.first);
            }
        }
    }
    size_t first, end;
    parcel_floats(r, p, &first, &end);
    p->bytes = touched_pack(r->touched, first, end, out + first, out + first) * sizeof(float);
    p->begun = trace_time();
    if (p->bytes > 0) r->comm->transport->send(&p->request, p->peer, TAG_REDUCE, out + first, p->bytes);
    else r->wire->sends.open--;
}

/* Sends the next piece that my whole node has written. Pieces to one rank must keep their order. */
static bool send_next(Reduce *r) {
    ParcelList *sends = &r->wire->sends;
    if (sends->started == sends->count) return false;
    const Parcel *next = &sends->parcel[sends->started];
    if (!reduce_node_ready(r, next->first, next->end)) return false;
    if (r->wire->first_sent == 0) r->wire->first_sent = wait_clock();
    for (size_t g = 0; g < r->wire->groups; g++) send_parcel(r, &sends->parcel[sends->started++]);
    return true;
}

bool wire_move(Reduce *r) {
    Wire *wire = r->wire;
    if (wire_is_done(r)) return false;
    bool moved = parcels_move(r, &wire->receives, take_parcel);
    moved |= send_next(r);
    moved |= parcels_move(r, &wire->sends, NULL);
    if (wire_is_done(r)) wire->finished = wait_clock();
    return moved;
}

bool wire_is_done(const Reduce *r) {
    return r->wire->receives.open == 0 && r->wire->sends.open == 0;
}

bool wire_has_received(const Reduce *r, size_t i) {
    return !r->wire || r->wire->arrived[i] == r->received;
}

size_t wire_missing(const Reduce *r) {
    const Wire *wire = r->wire;
    if (!wire) return r->comm->rank;
    for (size_t i = wire->receives.settled; i < wire->receives.count; i++)
        if (wire->receives.parcel[i].request.pending) return wire->receives.parcel[i].peer;
    for (size_t i = wire->sends.settled; i < wire->sends.started; i++)
        if (wire->sends.parcel[i].request.pending) return wire->sends.parcel[i].peer;
    return r->comm->rank;
}

void wire_book(Reduce *r, uint64_t entered) {
    const Wire *wire = r->wire;
    uint64_t begun = wire->first_sent ? wire->first_sent : wire->finished;
    uint64_t inside = begun > entered ? begun : entered;
    if (wire->finished > inside) r->times.exposed[REDUCE_GRADIENTS] += 1e-9 * (double)(wire->finished - inside);
    uint64_t end = wire->finished < entered ? wire->finished : entered;
    if (end > begun) r->times.hidden[REDUCE_GRADIENTS] += 1e-9 * (double)(end - begun);
}
