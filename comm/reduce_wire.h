/* SPDX-License-Identifier: MIT
 *
 * reduce_wire.h: private to comm/. The plan of all messages between nodes, made once by reduce_plan.c,
 * carried out by reduce_wire.c (gradients) and reduce_publish.c (parameters). Messages between two ranks
 * keep the order of the lists, which is the same on both sides. */
#ifndef LOCKSTEP_COMM_REDUCE_WIRE_H
#define LOCKSTEP_COMM_REDUCE_WIRE_H

#include "comm/reduce_private.h"

/* Whole chunks that travel to or from one rank. */
typedef struct Parcel {
    size_t peer, first, end;
    size_t group;  /* of gradients, sent: the segment of my node; received: the input of my tree */
    size_t bucket; /* of parameters */
    size_t bytes;  /* of this step's message */
    float *stage;  /* of parameters: packed there, where rows keep theirs */
    Request request;
    double begun; /* for the trace */
} Parcel;

typedef struct ParcelList {
    const char *what; /* for the trace */
    Parcel *parcel;
    size_t count, room;
    bool failed;
    size_t started; /* the first of them are under way or done */
    size_t settled; /* the first of them are done, perhaps more */
    size_t open;    /* not done */
} ParcelList;

/* A segment of my node and how it is folded, into its first input's block. */
typedef struct Group {
    TreeInput *inputs;
    Tree tree;
} Group;

struct Wire {
    /* gradients, buckets from the last to the first */
    Group *group;
    size_t groups;
    ParcelList sends, receives; /* sends: of one piece all groups in a row */
    size_t *arrived;            /* [my chunks] parcels that are here */
    float *buffer;              /* [received][my chunks] */
    size_t buffer_bytes;
    uint64_t first_sent, finished; /* when, 0: not yet */

    /* parameters, buckets from the first to the last */
    ParcelList publish_sends, publish_receives;
    uint64_t publication; /* counts them */
    bool under_way;
    size_t written;                 /* of my chunks */
    uint64_t publish_began, waited; /* ns */
    const Touched *kept;            /* of what is under way */
    float *stage;                   /* packed parameters, sent and received; NULL: all travel */
    size_t stage_bytes;
    uint64_t *known; /* [buckets] the last publication known to be here in full */
};

/* Of all that it holds, rows that nobody touches too. */
size_t parcel_bytes(const Reduce *reduce, const Parcel *parcel);
/* Its floats in the flat block: from the first to behind the last. */
void parcel_floats(const Reduce *reduce, const Parcel *parcel, size_t *first, size_t *end);
/* Where nobody has been told otherwise: none of the list is under way. */
void parcels_reset(ParcelList *list);
/* Tests the oldest that are under way, calls `done` for each that is done; true if there was one. Ends the
 * job if a connection broke. */
bool parcels_move(Reduce *reduce, ParcelList *list, void (*done)(Reduce *reduce, const Parcel *parcel));
/* The rank of the node that takes the owner's new parameters for it. */
size_t publish_taker(const Comm *comm, size_t node, size_t owner);

#endif
