/* SPDX-License-Identifier: MIT
 *
 * inquiry.c: whom a rank of another node waits for. Ranks wait for each other in chains, and only the last
 * one in a chain is lost. On a node the status board tells; between nodes a rank that has waited in vain asks the
 * rank it waits for, which answers from its own wait, and follows the answers to the rank that gives none. Nothing
 * is sent as long as nobody is late. */
#include "comm/private.h"

static const uint64_t patience = 2000000000; /* ns in which a rank that lives and waits answers */

static void ask(Comm *comm, size_t rank, uint64_t now) {
    Inquiry *inquiry = &comm->inquiry;
    inquiry->asked = rank;
    inquiry->since = now;
    comm->transport->receive(&inquiry->answer, rank, TAG_ANSWER, &inquiry->waits_for, sizeof inquiry->waits_for);
    comm->transport->send(&inquiry->question, rank, TAG_QUESTION, NULL, 0);
}

/* A rank of this node is on the board, which finds it if it is lost. */
static bool can_ask(const Comm *comm, uint64_t rank) {
    return rank < comm->size && comm->node_of[rank] != comm->node;
}

bool inquiry_finds_lost(Comm *comm, size_t missing, uint64_t begun, uint64_t now, size_t *lost) {
    Inquiry *inquiry = &comm->inquiry;
    if (!inquiry->answer.pending) {
        ask(comm, missing, now);
        return false;
    }
    /* A question of an earlier wait, still open: its time runs from this one's. */
    if (inquiry->since < begun) inquiry->since = now;
    Progress answered = comm->transport->test(&inquiry->answer);
    if (answered == PROGRESS_DONE) {
        if (can_ask(comm, inquiry->waits_for)) ask(comm, (size_t)inquiry->waits_for, now);
        return false;
    }
    *lost = inquiry->asked;
    return answered == PROGRESS_BROKEN || now - inquiry->since > patience;
}

void inquiry_answer(Comm *comm, size_t waits_for) {
    Inquiry *inquiry = &comm->inquiry;
    size_t from;
    if (!comm->transport->arrived(TAG_QUESTION, &from)) return;
    if (inquiry->reply.pending && comm->transport->test(&inquiry->reply) == PROGRESS_PENDING) return;
    Request question = {0};
    comm->transport->receive(&question, from, TAG_QUESTION, NULL, 0);
    if (comm->transport->test(&question) != PROGRESS_DONE) return;
    inquiry->replied = waits_for;
    comm->transport->send(&inquiry->reply, from, TAG_ANSWER, &inquiry->replied, sizeof inquiry->replied);
}

void inquiry_claim(Comm *comm) {
    for (size_t rank = 0; rank < comm->size; rank++) {
        Request claim = {0};
        if (can_ask(comm, rank)) comm->transport->send(&claim, rank, TAG_CLAIM, NULL, 0);
    }
}

bool inquiry_claimed(Comm *comm) {
    size_t from;
    return comm->transport->arrived(TAG_CLAIM, &from);
}
