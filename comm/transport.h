/* SPDX-License-Identifier: MIT
 *
 * transport.h: private to comm/. What carries bytes between ranks, chosen at run time: MPI, or nothing
 * at all for one rank. Everything here is called by the thread that called comm_start. Messages between
 * two ranks under one tag arrive in the order in which they were sent. */
#ifndef LOCKSTEP_COMM_TRANSPORT_H
#define LOCKSTEP_COMM_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/status.h"

/* A message under way. Zeroed or finished: idle. */
typedef struct Request {
    _Alignas(16) unsigned char handle[16];
    bool pending;
} Request;

typedef enum Progress { PROGRESS_PENDING, PROGRESS_DONE, PROGRESS_BROKEN } Progress;

/* Largest message; longer ones go in pieces. */
enum { TRANSPORT_PIECE = 64 << 20 };

/* Most requests that test_some takes. */
enum { TRANSPORT_SOME = 32 };

typedef enum Tag {
    TAG_EXCHANGE = 1,
    TAG_BROADCAST,
    TAG_POINT,
    TAG_REDUCE,
    TAG_PUBLISH,
    TAG_COUNTS,
    TAG_QUESTION,
    TAG_ANSWER,
    TAG_CLAIM
} Tag;

typedef struct Transport {
    Status (*start)(size_t *rank, size_t *size);
    /* lowest[r] = the lowest rank on the host of rank r. Collective, waits. */
    void (*hosts)(size_t *lowest);
    /* all[r * bytes ...] = rank r's `mine`; for the start, before waits are bounded. Collective, waits. */
    void (*gather)(const void *mine, size_t bytes, void *all);
    void (*send)(Request *request, size_t to, Tag tag, const void *data, size_t bytes);
    void (*receive)(Request *request, size_t from, Tag tag, void *data, size_t bytes);
    Progress (*test)(Request *request);
    /* Looks at all of them at once, as dear as one test; says which is broken. */
    Progress (*test_some)(Request *const requests[], size_t count, size_t *broken);
    /* Whether a message under `tag` could be received, and from whom. Lets all messages progress, also those that
     * nobody tests, as small ones that count as sent already. */
    bool (*arrived)(Tag tag, size_t *from);
    void (*finish)(void);
    void (*abort)(int code);
} Transport;

extern const Transport transport_serial;
#ifdef LOCKSTEP_HAVE_MPI
extern const Transport transport_mpi;
const char *transport_mpi_library(void);
#endif

#endif
